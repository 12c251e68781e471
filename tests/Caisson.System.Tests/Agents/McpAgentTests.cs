using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>
/// Tools of MCP servers, called by a program in a real box, through the gateway, on servers in boxes of their own: recorded,
/// asked about, and after a SIGKILL answered from the record, as the servers' own words show.
/// </summary>
public sealed class McpAgentTests
{
    private const string Approved = "{ history: { effect: read }, close: { approval: always } }";

    [Fact]
    public async Task A_program_lists_and_calls_tools_and_each_call_is_a_step()
    {
        const string program = """
            print(rpc("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})["serverInfo"]["name"])
            print([t["name"] for t in rpc("tools/list", {})["tools"]])
            print(call("note", text="a"), call("note", text="a"), call("history"))
            print(call("burn"))
            print(call("note", server="tickets"))
            """;
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(McpRig.Manifest(program)));

        Assert.Equal(
            "notes\n['note', 'close', 'history', 'die', 'hang']\ndone note a done note a note a note a\n"
            + "refused: no tool of MCP server 'notes' is named so: they are note, close, history, die, hang\n"
            + "refused: caisson: no MCP server of this run is named so: its manifest names notes\n", run.Result + "\n");

        // Three calls; with the definitions and the program itself, five steps.
        Assert.Equal((3, 5), (run.ToolCalls, run.Steps));
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task Killed_alone_the_program_finds_its_calls_answered_and_the_server_as_it_was()
    {
        const string program = """
            print(call("note", text="a"), call("close", text="b"), call("history"))
            """;
        await using var server = await ServerProcess.StartAsync();
        var id = await server.CreateAsync(McpRig.Manifest(program).Replace("{ history: { effect: read } }", Approved, StringComparison.Ordinal));
        await McpRig.AsksAsync(server, id);

        await McpRig.KillProgramAsync(server, id);
        Assert.Equal(0, (await server.RunAsync("approve", id)).Exit);

        var run = await server.EndedAsync(id);
        Assert.Equal("done note a done close b note a close b", run.Result);
        Assert.Equal((3, 1), (run.ToolCalls, run.Epoch));
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task When_the_server_is_killed_recorded_calls_are_not_made_again_and_the_rest_are_made_once()
    {
        const string program = """
            print(call("note", text="a"), call("close", text="b"))
            """;
        using var ledger = new McpLedger();
        await using var server = await ServerProcess.StartAsync(more: ledger.Config);
        var id = await server.CreateAsync(McpRig.Manifest(program, $"stateless: true\n      {McpLedger.Settings}", McpLedger.Manifest).Replace("{ history: { effect: read } }", Approved, StringComparison.Ordinal));
        await McpRig.AsksAsync(server, id);
        Assert.Equal(["note a"], ledger.Lines.Select(l => l.Split('|')[0]));

        await server.KillAsync();
        await server.LaunchAsync();
        Assert.Equal(0, (await server.RunAsync("approve", id)).Exit);

        var run = await server.EndedAsync(id);
        Assert.Equal("done note a done close b", run.Result);
        Assert.Equal(["note a", "close b"], ledger.Lines.Select(l => l.Split('|')[0]));

        // Each call has its own idempotency key, of this run.
        Assert.Equal(2, ledger.Lines.Select(l => l.Split('|')[1]).Where(k => k.StartsWith(id + ".", StringComparison.Ordinal)).Distinct().Count());
        await server.AssertSoundAsync();
    }
}
