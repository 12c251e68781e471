using System.Text.Json;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>Servers on standard input and output that do not start, do not answer, or say too much: each has its bound and its word.</summary>
public sealed class McpHostileTests
{
    /// <summary>What it lists and what it writes is in its environment.</summary>
    private const string Hostile = """
        import json, os, sys, time
        kind = os.environ["KIND"]
        def say(**members):
            print(json.dumps({"jsonrpc": "2.0", **members}), flush=True)
        def tool(name):
            return {"name": name, "inputSchema": {"type": "object"}}
        for line in sys.stdin:
            asked = json.loads(line)
            if "id" not in asked:
                continue
            method = asked["method"]
            if method == "initialize":
                say(id=asked["id"], result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": kind, "version": "1"}})
            elif method == "tools/list" and kind == "many":
                say(id=asked["id"], result={"tools": [tool(str(n)) for n in range(1001)]})
            elif method == "tools/list" and kind == "pages":
                say(id=asked["id"], result={"tools": [], "nextCursor": "on"})
            elif method == "tools/list" and kind == "wide":
                say(id=asked["id"], result={"tools": [{**tool("wide" + asked.get("params", {}).get("cursor", "")), "description": "d" * (3 << 20)}], "nextCursor": "on"})
            elif method == "tools/list":
                say(id=asked["id"], result={"tools": [tool("work")] + ([tool(os.urandom(4).hex())] if kind == "other" else [])})
            elif method == "tools/call" and kind == "long":
                print("x" * (5 << 20), flush=True)
            elif method == "tools/call" and kind == "endless":
                while True:
                    say(method="notifications/message", params={"level": "info", "data": "x" * 1000})
            elif method == "tools/call" and kind == "big":
                say(id=asked["id"], result={"content": [{"type": "text", "text": "y" * (3 << 20)}]})
            elif method == "tools/call" and kind == "other":
                sys.exit(9)
            elif method == "tools/call":
                time.sleep(600)
        """;

    /// <summary>Says in one line what a call came to.</summary>
    private const string Try = """
        def said(server, **arguments):
            answer = rpc("tools/call", {"name": "work", "arguments": arguments}, server)
            if "content" not in answer:
                return answer.get("message") or str(answer["status"])
            text = answer["content"][0]["text"]
            return answer["_meta"]["caisson/code"] + ": " + text if answer.get("isError") else str(len(text))

        """;

    [Fact]
    public async Task A_server_that_lists_other_tools_when_it_is_started_again_gets_no_calls()
    {
        const string program = """
            print(said("other"), said("other"), said("other", again=1), sep="\n")
            """;
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(Manifest(program, Of("other", "stateless: true"))));

        var lines = Lines(run);
        Assert.StartsWith("step_unknown: ", lines[0], StringComparison.Ordinal);
        Assert.Contains("it ended with exit code 9", lines[0], StringComparison.Ordinal);
        Assert.All(lines[1..], l => Assert.Matches("^mcp_drift: error: MCP server 'other' lists other tools than the run has recorded \\([0-9a-f]{12}, now [0-9a-f]{12}\\): the call was not made$", l));
        Assert.Equal(3, lines.Length);
        await server.AssertSoundAsync();
    }

    private static string[] Lines(RunView run)
    {
        Assert.True(run.Status == RunStatus.Completed, $"{run.Status}: {run.Detail}");
        return run.Result!.Split('\n');
    }

    private static string Of(string kind, string more = "") =>
        $"{kind}: {{ command: [python3, -u, -c, {JsonSerializer.Serialize(Hostile)}], env: {{ KIND: {kind} }}{(more.Length == 0 ? "" : ", ")}{more} }}";

    private static string Manifest(string program, params string[] servers) =>
        McpRig.Manifest(Try + program, $"stateless: true\n    {string.Join("\n    ", servers)}");
}
