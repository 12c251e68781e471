using System.Text.Json;
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

    [Fact]
    public async Task A_server_that_ends_is_told_once_and_then_there_is_another_one()
    {
        const string program = """
            print(call("note", text="a"), call("die"), call("note", text="b"), call("note", text="b"), call("history"), sep="|")
            """;
        await using var server = await ServerProcess.StartAsync();

        var run = await server.EndedAsync(await server.CreateAsync(McpRig.Manifest(program)));

        // Nobody knows whether the call took effect that the server died in; the next one is told that the state is gone.
        Assert.Equal("done note a|error: step_unknown|error: mcp_lost|done note b|note b", run.Result);
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task A_stateful_server_that_went_with_an_owner_is_told_to_the_program_also()
    {
        const string program = """
            print(call("note", text="a"), call("close", text="b"), call("note", text="c"), call("history"), sep="|")
            """;
        await using var server = await ServerProcess.StartAsync();
        var id = await server.CreateAsync(McpRig.Manifest(program).Replace("{ history: { effect: read } }", Approved, StringComparison.Ordinal));
        await McpRig.AsksAsync(server, id);

        await server.KillAsync();
        await server.LaunchAsync();
        Assert.Equal(0, (await server.RunAsync("approve", id)).Exit);

        Assert.Equal("done note a|error: mcp_lost|done note c|note c", (await server.EndedAsync(id)).Result);
    }

    [Fact]
    public async Task A_call_that_is_not_approved_is_answered_so_and_not_made()
    {
        await using var server = await ServerProcess.StartAsync();
        var id = await server.CreateAsync(McpRig.Manifest("print(call('close', text='b'), call('history'), sep='|')").Replace("{ history: { effect: read } }", Approved, StringComparison.Ordinal));
        await McpRig.AsksAsync(server, id);
        var approvals = await server.RunAsync("approvals");
        Assert.Contains("tool close of MCP server notes", approvals.Out, StringComparison.Ordinal);

        Assert.Equal(0, (await server.RunAsync("deny", id, "--comment", "not now")).Exit);

        Assert.Equal("error: approval_denied|", (await server.EndedAsync(id)).Result);
    }

    [Fact]
    public async Task A_call_in_the_middle_of_which_the_server_is_killed_waits_for_a_person_and_is_not_made_again()
    {
        using var ledger = new McpLedger();
        await using var server = await ServerProcess.StartAsync(more: ledger.Config);
        var id = await server.CreateAsync(McpRig.Manifest("print(call('hang', text='x'))", $"stateless: true\n      on_unknown: ask_human\n      timeout: 10m\n      {McpLedger.Settings}", McpLedger.Manifest));
        await Until.True("the call is with its server", () => ledger.Lines.Count == 1);

        await server.KillAsync();
        await server.LaunchAsync();

        var paused = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Paused, PauseCause.Unknown), (paused.Status, paused.Paused));
        var step = JsonDocument.Parse((await server.RunAsync("resolve", id, "-o", "json")).Out).RootElement.GetProperty("items")[0].GetProperty("step").GetString()!;
        Assert.Equal(0, (await server.RunAsync("resolve", id, step, "--done", "--result", """{"text":"by hand"}""")).Exit);
        await Until.AsyncValue("it goes on", () => server.Client.GetRunAsync(id, CancellationToken.None), r => r.Status != RunStatus.Paused);
        Assert.Equal("by hand", (await server.EndedAsync(id)).Result);
        Assert.Single(ledger.Lines);
        await server.AssertSoundAsync();
    }

    [Fact]
    public async Task Calls_count_on_the_limit_of_tool_calls_and_go_on_when_it_is_raised()
    {
        await using var server = await ServerProcess.StartAsync();
        var id = await server.CreateAsync(McpRig.Manifest("print(call('note', text='a'), call('history'), sep='|')", more: "limits: { tool_calls: 1 }\n"));
        var paused = await server.EndedAsync(id);
        Assert.Equal((RunStatus.Paused, PauseCause.Budget, 1), (paused.Status, paused.Paused, paused.ToolCalls));

        Assert.Equal(0, (await server.RunAsync("resume", id, "--max-tool-calls", "3")).Exit);
        await Until.AsyncValue("it goes on", () => server.Client.GetRunAsync(id, CancellationToken.None), r => r.Status != RunStatus.Paused);

        // Its server ended with the pause.
        Assert.Equal("done note a|error: mcp_lost", (await server.EndedAsync(id)).Result);
    }
}
