using Caisson.Client;
using Caisson.Contracts;
using Caisson.Gateway.Tests.Egress;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>Real programs in a real box, and what they reach: servers of this test on loopback, by grant, and nothing else.</summary>
public sealed class EgressTests
{
    private const string Secret = "s3cr3t-of-the-operator";

    [Fact]
    public async Task Curl_in_a_box_reaches_what_the_manifest_names_with_a_secret_that_the_box_never_sees()
    {
        await using var api = new Origin("localhost", request => [$"HTTP/1.1 200 OK\r\nContent-Length: {7 + request.Header("Authorization")!.Length}\r\n\r\nhello, ", request.Header("Authorization")!]);
        await using var other = new Origin();
        await using var database = new Origin(respond: _ => ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nrows"]);
        using var folder = new Folder();
        var trusted = folder.Write("ca.pem", TestAuthority.Certificate.ExportCertificatePem());
        var secret = folder.Write("token", Secret + "\n");
        string[] commands =
        [
            $"curl -sS --noproxy '' https://localhost:{api.Port}/me",
            $"curl -sS --noproxy '' -X POST -d x https://localhost:{api.Port}/me",
            $"curl -sS --noproxy '' http://localhost:{other.Port}/",
            $"curl -sS -m 5 --noproxy '*' http://127.0.0.1:{other.Port}/; echo code $?",
            "curl -sS http://127.0.0.1:5432/query",
            "printenv CAISSON_SECRET_TOKEN; grep -rl s3cr3t /run/box /proc/self/environ; true",
        ];
        var script = $"scripts:\n  - model: fetcher\n    turns:\n      - say: I fetch.\n        call:\n{string.Concat(commands.Select(c => $"          - {{ name: shell, arguments: {{ command: \"{c}\" }} }}\n"))}      - say: Done.\n";
        await using var server = await ServerProcess.StartAsync(script: script, more: $"""
            [egress]
            allow_private = "127.0.0.1:{api.Port}, [::1]:{api.Port}"
            trusted_file = "{trusted}"
            [egress.secrets.token]
            file = "{secret}"
            hosts = "localhost"
            [services.db]
            address = "127.0.0.1:{database.Port}"
            """);

        var manifest = ServerProcess.ManifestOf("fetcher", $"  tools: [shell]\nsandbox: {{ memory: 256MiB, disk: 32MiB }}\negress:\n  - {{ host: localhost, port: {api.Port}, secret: token }}\nservices: [{{ name: db, port: 5432 }}]\n");
        var cancellation = TestContext.Current.CancellationToken;
        var id = await server.CreateAsync(manifest);
        var journal = new List<JournalEntryView>();
        await foreach (var entry in server.Client.FollowAsync(id, new FollowOptions { Payloads = true }, cancellation))
        {
            journal.Add(entry);
            if (entry.Kind == "paused")
                break;
        }

        var run = await server.Client.GetRunAsync(id, cancellation);
        var results = journal.Where(e => e.Kind == "step_completed" && e.Body.GetProperty("step").GetProperty("kind").GetString() == "tool").Select(e => e.Result!.Value.GetProperty("text").GetString()!).ToList();

        Assert.Equal(RunStatus.Completed, run.Status);
        Assert.Equal(commands.Length, results.Count);
        Assert.Equal($"[exit code 0]\nhello, Bearer {new string('*', Secret.Length)}", results[0]);
        Assert.Contains("only GET, HEAD may be sent there", results[1], StringComparison.Ordinal);
        Assert.Contains($"caisson: GET localhost:{other.Port} is denied", results[2], StringComparison.Ordinal);
        Assert.Contains("code 7", results[3], StringComparison.Ordinal);
        Assert.Equal("[exit code 0]\nrows", results[4]);
        Assert.Equal("[exit code 0]\ncaisson-secret-token\n", results[5]);
        Assert.Equal($"Bearer {Secret}", api.Requests.Single().Header("Authorization"));
        Assert.Equal(0, other.Connections);
        Assert.Equal(["token", null], journal.Where(e => e.Kind == "egress_intended").Select(e => e.Body.TryGetProperty("secret", out var name) ? name.GetString() : null));
        var egress = (await server.Client.ListEgressAsync(run.Id, cancellation)).Items;
        Assert.Contains(egress, e => e is { Code: "allowed", Count: 1 } && e.Subject == $"GET localhost:{api.Port}");
        Assert.Contains(egress, e => e.Code == ErrorCodes.EgressDenied && e.Subject == $"POST localhost:{api.Port}");
        Assert.Contains(egress, e => e is { Code: "effect_unrecorded", Subject: "TCP db:5432" });
        Assert.Contains(egress, e => e is { Code: "moved", Subject: "db:5432", Received: > 50 });
    }
}
