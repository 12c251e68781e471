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

    [Fact]
    public async Task What_a_server_says_and_how_long_it_takes_has_a_bound()
    {
        const string program = """
            import http.client, urllib.parse
            for name in ["many", "pages", "wide", "long", "endless", "big", "doubtful", "slow"]:
                print(name, said(name), sep="|")
            at = urllib.parse.urlsplit(os.environ["CAISSON_URL"])
            door = http.client.HTTPConnection(at.hostname, at.port)
            door.putrequest("POST", at.path + "/mcp/big")
            for name, value in {"content-type": "application/json", "accept": "application/json, text/event-stream", "content-length": str((4 << 20) + 1)}.items():
                door.putheader(name, value)
            door.endheaders()
            print("asked", door.getresponse().status, sep="|")
            """;
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(Manifest(program, Of("many"), Of("pages"), Of("wide"), Of("long"), Of("endless"), Of("big"), Of("doubtful", "timeout: 1s"), Of("slow", "timeout: 1s, effect: read"))));

        Assert.Equal(
        [
            "many|mcp_unavailable: MCP server 'many' cannot be used: it lists more than 1000 tools, or on more than 100 pages",
            "pages|mcp_unavailable: MCP server 'pages' cannot be used: it lists more than 1000 tools, or on more than 100 pages",
            "wide|mcp_unavailable: MCP server 'wide' cannot be used: its list of tools has more than 4 MiB",
            "long|step_unknown: error: step 'long/work' failed: IOException: it wrote a message of more than 4 MiB: nobody knows whether it took effect",
            "endless|step_unknown: error: step 'endless/work' failed: IOException: it wrote more than 16 MiB without being called again: nobody knows whether it took effect",
            $"big|{3 << 20}",
            "doubtful|step_unknown: error: step 'doubtful/work' failed: IOException: no answer within 1s: nobody knows whether it took effect",
            "slow|step_timeout: error: tool 'work' of MCP server 'slow' did not answer within 1s",
            "asked|413",
        ], Lines(run));
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task A_server_that_does_not_start_is_named_with_the_reason()
    {
        const string program = """
            print(said("missing"), said("broken"), rpc("tools/list", {}, "broken")["message"], sep="\n")
            """;
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(Manifest(program,
            "missing: { command: [no-such-program] }",
            """broken: { command: [python3, -c, "import sys; print('no configuration', file=sys.stderr); sys.exit(3)"] }""")));

        const string ended = "mcp_unavailable: MCP server 'broken' cannot be used: it ended with exit code 3: no configuration";
        Assert.Equal(["mcp_unavailable: MCP server 'missing' cannot be used: 'no-such-program': No such file or directory", ended, ended], Lines(run));
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
