using Caisson.Contracts;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Manifests;

namespace Caisson.Core.Tests.Manifests;

public sealed class EgressManifestTests
{
    private const string Code = "name: a\ncode: a\n";

    private static AgentManifest Valid(string text) => ManifestReader.Read(text, "a.yaml") switch
    {
        ManifestOutcome.Valid valid => valid.Manifest,
        ManifestOutcome.Invalid invalid => throw new Xunit.Sdk.XunitException(invalid.Problem.Message),
        _ => throw new InvalidOperationException(),
    };

    private static string HashOf(string text) => ((ManifestOutcome.Valid)ManifestReader.Read(text, "a.yaml")).Hash;

    private static string Problem(string text) => Assert.IsType<ManifestOutcome.Invalid>(ManifestReader.Read(text, "a.yaml")).Problem.Message;

    [Fact]
    public void Rules_are_read_and_their_mode_follows_from_what_they_look_at()
    {
        var manifest = Valid(Code + """
            egress:
              - host: API.GitHub.com.
                methods: [POST, GET]
                paths: ["/repos/*/issues", "/public/**"]
                secret: github
              - { host: "*.pythonhosted.org" }
              - { host: plain.example, port: 80 }
              - { host: bücher.example, mode: https, port: 8443 }
              - { host: 0x08080808 }
            egress_bytes: 20MiB
            services: [{ name: db, port: 5432 }]
            """);

        Assert.Equal(
            [("api.github.com", 443, EgressMode.Https), ("*.pythonhosted.org", 443, EgressMode.Tunnel), ("plain.example", 80, EgressMode.Http), ("xn--bcher-kva.example", 8443, EgressMode.Https), ("8.8.8.8", 443, EgressMode.Tunnel)],
            manifest.Egress!.Select(r => (r.Host, r.Port, r.Mode)));
        Assert.Equal(["GET", "POST"], manifest.Egress![0].Methods);
        Assert.Equal(["/public/**", "/repos/*/issues"], manifest.Egress[0].Paths);
        Assert.Equal("github", manifest.Egress[0].Secret);
        Assert.Equal(20L << 20, manifest.EgressBytes);
        Assert.Equal([new ServiceSetting("db", 5432)], manifest.Services);
    }

    [Fact]
    public void Equal_meaning_has_an_equal_hash_and_none_is_as_if_nothing_were_written()
    {
        Assert.Equal(HashOf(Code), HashOf(Code + "egress: []\nservices: []\n"));
        Assert.Equal(HashOf(Code + "egress: [{host: a.example}]"), HashOf(Code + "egress: [{host: A.example., port: 443, mode: tunnel}]\negress_bytes: 1GiB"));
        Assert.NotEqual(HashOf(Code + "egress: [{host: a.example}]"), HashOf(Code + "egress: [{host: a.example, methods: [GET]}]"));
        Assert.NotEqual(HashOf(Code), HashOf(Code + "services: [{name: db, port: 1}]"));
    }

    [Theory]
    [InlineData("egress: {host: a.example}", "egress: found 'keys and values', allowed is a list")]
    [InlineData("egress: [a.example]", "egress: found 'a value', allowed is a list of keys and values")]
    [InlineData("egress: [{port: 1}]", "egress[0].host: found 'nothing', allowed is a text")]
    [InlineData("egress: [{host: a.example, hots: 1}]", "egress[0].hots: unknown key, allowed are host, port, mode, methods, paths, secret")]
    [InlineData("egress: [{host: 'https://a.example'}]", "egress[0].host: found 'https://a.example'")]
    [InlineData("egress: [{host: 'a.example:443'}]", "egress[0].host: found 'a.example:443'")]
    [InlineData("egress: [{host: '*'}]", "egress[0].host: found '*'")]
    [InlineData("egress: [{host: '*.com'}]", "at least two labels")]
    [InlineData("egress: [{host: '*.1.2.3.4'}]", "at least two labels")]
    [InlineData("egress: [{host: 'a.*.example'}]", "egress[0].host: found 'a.*.example'")]
    [InlineData("egress: [{host: 1.2.3.999}]", "egress[0].host: found '1.2.3.999'")]
    [InlineData("egress: [{host: a.example, port: 0}]", "a whole number from 1 to 65535")]
    [InlineData("egress: [{host: a.example, methods: [get]}]", "methods in capitals")]
    [InlineData("egress: [{host: a.example, methods: [TRACE]}]", "never CONNECT or TRACE")]
    [InlineData("egress: [{host: a.example, paths: [x]}]", "a path from /")]
    [InlineData("egress: [{host: a.example, paths: ['/a/../b']}]", "a path from /")]
    [InlineData("egress: [{host: a.example, paths: ['/a**']}]", "a path from /")]
    [InlineData("egress: [{host: a.example, paths: ['/a?x=1']}]", "a path from /")]
    [InlineData("egress: [{host: a.example, secret: Git Hub}]", "lower-case letters")]
    [InlineData("egress: [{host: a.example, mode: tunnel, methods: [GET]}]", "nobody looks into a tunnel")]
    [InlineData("egress: [{host: a.example, mode: http, secret: s}]", "plain HTTP would show the secret")]
    [InlineData("egress: [{host: a.example, mode: tls}]", "http, https, tunnel")]
    [InlineData("egress_bytes: 1MiB", "egress_bytes beside egress or services")]
    [InlineData("services: [{name: db}]", "services[0].port: found 'nothing'")]
    [InlineData("services: [{name: Db, port: 1}]", "services[0].name: found 'Db'")]
    [InlineData("services: [{name: db, port: 3128}]", "where the box's proxy listens")]
    [InlineData("services: [{name: db, port: 1}, {name: db, port: 2}]", "each service once")]
    [InlineData("services: [{name: db, port: 1}, {name: dc, port: 1}]", "each port once")]
    public void What_is_wrong_is_said_in_one_line(string text, string expected)
    {
        var problem = Problem(Code + text);

        Assert.Contains(expected, problem, StringComparison.Ordinal);
        Assert.StartsWith("a.yaml:3: ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }

    [Fact]
    public void A_model_is_told_what_it_may_reach_and_nothing_else_changes()
    {
        var manifest = Valid("name: a\nloop: {model: a/b, instructions: x, tools: [shell]}\negress: [{host: api.example.com, paths: [/v1/**], secret: k}, {host: '*.cdn.example.com'}]\nservices: [{name: db, port: 5432}]");

        var told = BuiltInTools.Select(["shell"], manifest)[0].Definition.Description;

        Assert.Contains("and only: GET/HEAD https://api.example.com at /v1/** (signed in outside); https://*.cdn.example.com; the service db on 127.0.0.1:5432.", told, StringComparison.Ordinal);
        Assert.Equal("Runs a command line with sh in the workspace of an isolated Linux box. There is no network. Processes that it leaves behind are ended when it returns. Long output is cut in the middle.",
            BuiltInTools.Select(["shell"], Valid(Code))[0].Definition.Description);
    }
}
