using Caisson.Contracts;
using Caisson.Gateway.Tests.Egress;
using Caisson.System.Tests.Harness;
using ModelContextProtocol.AspNetCore;

namespace Caisson.System.Tests.Agents;

/// <summary>A server at an address: asked past the box, with a secret that never enters it, and once after a crash.</summary>
public sealed class McpHttpTests
{
    private static string Manifest(string program, McpHttpServer pages, string more = "") =>
        McpRig.Manifest(program, $"stateless: true\n    pages: {{ url: \"http://127.0.0.1:{pages.Port}/mcp\"{more} }}");

    private static string Granted(McpHttpServer pages) => $"[egress]\nallow_private = \"127.0.0.1:{pages.Port}\"\n";

    [Theory]
    [InlineData(HttpServerSessionMode.Stateless)]
    [InlineData(HttpServerSessionMode.Stateful)]
    public async Task Calls_reach_a_server_at_an_address_once_each_also_when_this_server_is_killed(HttpServerSessionMode mode)
    {
        const string program = """
            print(call("send", "pages", text="a"), call("refuse", "pages"), call("close", text="b"), call("send", "pages", text="c"), sep="|")
            """;
        await using var pages = await McpHttpServer.StartAsync(mode);
        await using var server = await ServerProcess.StartAsync(more: Granted(pages));
        var id = await server.CreateAsync(Manifest(program, pages, ", stateless: true").Replace("{ history: { effect: read } }", "{ close: { approval: always } }", StringComparison.Ordinal));
        await McpRig.AsksAsync(server, id);
        Assert.Single(pages.Calls);

        await server.KillAsync();
        await server.LaunchAsync();
        Assert.Equal(0, (await server.RunAsync("approve", id)).Exit);

        var run = await server.EndedAsync(id);
        Assert.Equal("sent a, signed |refused: not today|done close b|sent c, signed ", run.Result);
        Assert.Equal(["a", "c"], pages.Calls.Select(c => c.Split('|')[0]));
        Assert.All(pages.Calls, c => Assert.StartsWith(id + ".", c.Split('|')[1], StringComparison.Ordinal));
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task A_secret_goes_with_calls_outside_of_the_box_and_comes_back_as_stars()
    {
        const string secret = "s3cr3t-of-the-operator";
        const string program = """
            import subprocess
            def found(text):
                return subprocess.run(["grep", "-rls", text, "/run", "/tmp", "/workspace", "/etc", "/proc/self/environ"], capture_output=True, text=True).stdout.split()
            print(call("send", "pages", text="a"), call("refuse", "pages"), found("CAISSON_URL"), found("s3cr3t" + "-of-the-operator"), sep="|")
            """;
        using var folder = new Folder();
        var trusted = folder.Write("ca.pem", TestAuthority.Certificate.ExportCertificatePem());
        var file = folder.Write("token", secret + "\n");
        await using var pages = await McpHttpServer.StartAsync(isTls: true);
        await using var server = await ServerProcess.StartAsync(more: $"""
            [egress]
            allow_private = "127.0.0.1:{pages.Port}, [::1]:{pages.Port}"
            trusted_file = "{trusted}"
            [egress.secrets.token]
            file = "{file}"
            hosts = "localhost"
            """);

        var run = await server.EndedAsync(await server.CreateAsync(McpRig.Manifest(program, $"stateless: true\n    pages: {{ url: \"https://localhost:{pages.Port}/mcp\", secret: token }}")));

        var stars = $"Bearer {new string('*', secret.Length)}";
        Assert.Equal($"sent a, signed {stars}|refused: not today{stars}|['/proc/self/environ']|[]", run.Result);
        Assert.Equal([$"Bearer {secret}"], pages.Authorized.Keys);
        await server.AssertSoundAsync();

        // What was said is in the database, the secret is not, nor in the log.
        await server.KillAsync();
        var files = Directory.EnumerateFiles(server.Data, "*.db*", SearchOption.AllDirectories).Select(File.ReadAllText).Concat(server.Log).ToList();
        Assert.Contains(files, f => f.Contains(stars, StringComparison.Ordinal));
        Assert.DoesNotContain(files, f => f.Contains(secret, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_private_address_that_nobody_granted_is_refused()
    {
        await using var pages = await McpHttpServer.StartAsync();
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(Manifest("print(call('send', 'pages', text='a'))", pages)));

        Assert.Equal(RunStatus.Completed, run.Status);
        Assert.Contains("refused: mcp_unavailable", run.Result, StringComparison.Ordinal);
        Assert.Contains("only public addresses may be reached", run.Result, StringComparison.Ordinal);
        Assert.Empty(pages.Calls);
    }
}
