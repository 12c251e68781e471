using Caisson.Contracts;
using Caisson.Core.Manifests;

namespace Caisson.Core.Tests.Manifests;

public sealed class McpManifestTests
{
    private const string Head = "name: a\nprocess: { command: [x] }\n";

    [Fact]
    public void Servers_are_read_with_their_tools_and_a_tool_takes_from_its_server_what_it_does_not_say()
    {
        var outcome = ManifestReader.Read(Head + """
            mcp:
              servers:
                tickets:
                  command: [python3, server.py]
                  env: { A: b }
                  stateless: true
                  timeout: 5s
                  approval: always
                  tools:
                    search: { effect: read, approval: never }
                    close: { on_unknown: ask_human }
                docs: { url: "https://docs.example.com/mcp", secret: docs, effect: idempotent }
            """, "agent.yaml");

        var servers = Assert.IsType<ManifestOutcome.Valid>(outcome).Manifest.Mcp!;
        Assert.Equal(["docs", "tickets"], servers.Select(s => s.Name));
        var (docs, tickets) = (servers[0], servers[1]);
        Assert.Equal(("https://docs.example.com/mcp", "docs", null, false), (docs.Url, docs.Secret, docs.Command, docs.Stateless));
        Assert.Equal(McpEffect.Idempotent, docs.Of("any").Effect);
        Assert.Equal(["python3", "server.py"], tickets.Command!);
        Assert.Equal(("b", true, TimeSpan.FromSeconds(5)), (tickets.Environment!["A"], tickets.Stateless, tickets.Timeout));
        Assert.Equal(new McpToolSettings { Effect = McpEffect.Read }, tickets.Of("search"));
        Assert.Equal(new McpToolSettings { Approval = McpApproval.Always, OnUnknown = McpUnknown.AskHuman }, tickets.Of("close"));
        Assert.Equal(new McpToolSettings { Approval = McpApproval.Always }, tickets.Of("other"));
    }

    public static TheoryData<string, string, string, string> Wrong => new()
    {
        { "name: a\ncode: a\nmcp: { servers: { s: { command: [x] } } }", "mcp", "an agent that is no program", "mcp beside process" },
        { Head + "mcp: { servers: {} }", "mcp.servers", "nothing", "servers by their names" },
        { Head + "mcp: { server: {} }", "mcp.server", "unknown key", "servers" },
        { Head + "mcp: { servers: { \"A b\": { command: [x] } } }", "mcp.servers.A b", "'A b'", "lower-case letters" },
        { Head + "mcp: { servers: { s: {} } }", "mcp.servers.s", "neither command nor url", "exactly one of command and url" },
        { Head + "mcp: { servers: { s: { command: [x], url: \"https://a.example/\" } } }", "mcp.servers.s", "command and url", "exactly one" },
        { Head + "mcp: { servers: { s: { command: [] } } }", "mcp.servers.s.command", "nothing", "a program and its arguments" },
        { Head + "mcp: { servers: { s: { command: [x], secret: t } } }", "mcp.servers.s.secret", "secret beside command", "secret beside url" },
        { Head + "mcp: { servers: { s: { url: \"https://a.example/\", env: { A: b } } } }", "mcp.servers.s.env", "env beside url", "env beside command" },
        { Head + "mcp: { servers: { s: { url: \"ftp://a.example/\" } } }", "mcp.servers.s.url", "'ftp://a.example/'", "https://HOST" },
        { Head + "mcp: { servers: { s: { url: \"https://u:p@a.example/\" } } }", "mcp.servers.s.url", "u:p", "without user" },
        { Head + "mcp: { servers: { s: { url: \"http://a.example/\", secret: t } } }", "mcp.servers.s.url", "http://a.example/", "https:// beside secret" },
        { Head + "mcp: { servers: { s: { command: [x], effect: compensable } } }", "mcp.servers.s.effect", "'compensable'", "read, idempotent, at_most_once" },
        { Head + "mcp: { servers: { s: { command: [x], timeout: 2h } } }", "mcp.servers.s.timeout", "'2h'", "a time from 1s to 1h" },
        { Head + "mcp: { servers: { s: { command: [x], stateless: yes } } }", "mcp.servers.s.stateless", "'yes'", "false, true" },
        { Head + "mcp: { servers: { s: { command: [x], tools: { t: { effect: read, hidden: true } } } } }", "mcp.servers.s.tools.t.hidden", "unknown key", "effect, approval, on_unknown" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_is_wrong_is_refused_with_its_key(string text, string key, string found, string allowed)
    {
        var problem = Assert.IsType<ManifestOutcome.Invalid>(ManifestReader.Read(text, "agent.yaml")).Problem.Message;

        Assert.StartsWith("agent.yaml:", problem, StringComparison.Ordinal);
        Assert.Contains($" {key}: ", problem, StringComparison.Ordinal);
        Assert.Contains(found, problem, StringComparison.Ordinal);
        Assert.Contains(allowed, problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }
}
