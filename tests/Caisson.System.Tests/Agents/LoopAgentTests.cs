using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Agents;

/// <summary>Loop agents on a real server, wire and box.</summary>
public sealed class LoopAgentTests
{
    private const string Script = """
        scripts:
          - model: writer
            turns:
              - say: Several at once.
                call:
                  - { name: shell, arguments: { command: "sleep 0.5; echo first >> ledger.txt" } }
                  - { name: shell, arguments: { command: "echo second >> ledger.txt" } }
                  - { name: files, arguments: { op: read, path: ledger.txt } }
                  - { name: files, arguments: { op: list, path: . } }
                  - { name: nothing, arguments: {} }
                  - { name: files, arguments: { op: fly, path: x } }
              - say: Done.
          - model: repeater
            turns: [{ say: Again., repeat: forever, call: { name: shell, arguments: { command: echo red } } }]
          - model: sleeper
            turns: [{ say: I wait., call: { name: shell, arguments: { command: "echo begun >> ledger.txt; sleep 100" } } }, { say: Done. }]
          - model: thinker
            turns: [{ say: I think., call: { name: shell, arguments: { command: "timeout 7 sh -c 'while :; do :; done'; echo thought" } } }, { say: Done. }]
          - model: builder
            turns: [{ say: I build., call: { name: shell, arguments: { command: "mkdir out junk; echo data > out/data; echo junk > junk/file; echo report > report.md" } } }, { say: Done. }]
          - model: spender
            turns: [{ say: Not done yet., repeat: forever, usage: { output: 4000 }, call: { name: nothing, arguments: { again: yes } } }]
        """;

    [Fact]
    public async Task Writers_of_one_answer_run_in_order_and_readers_see_them()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);

        var (run, tools) = await PlayAsync(server, "writer");

        Assert.Equal((RunStatus.Completed, 8L, 6L), (run.Status, run.Steps, run.ToolCalls));
        Assert.Contains(tools, text => text == "first\nsecond\n");
        Assert.Contains(tools, text => text.Contains("ledger.txt", StringComparison.Ordinal) && text.StartsWith("file", StringComparison.Ordinal));
        Assert.Contains(tools, text => text.Contains("no tool is named 'nothing'", StringComparison.Ordinal));
        Assert.Contains(tools, text => text.Contains("'op' must be read, write or list", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_exact_repeat_is_paused_at_eight_and_goes_on_when_resumed()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);

        var (paused, tools) = await PlayAsync(server, "repeater");
        Assert.Equal((RunStatus.Paused, PauseCause.Loop, 8), (paused.Status, paused.Paused, tools.Count));

        await server.Client.ResumeAsync(paused.Id, new RunOverrides(), TestContext.Current.CancellationToken);
        var again = await Until.AsyncValue("the second pause", () => server.Client.GetRunAsync(paused.Id, TestContext.Current.CancellationToken),
            run => run.Status == RunStatus.Paused && run.ToolCalls > 8);
        Assert.Equal((PauseCause.Loop, 16L), (again.Paused, again.ToolCalls));
    }

    [Fact]
    public async Task A_command_that_does_nothing_is_ended_twice_and_one_that_thinks_is_not()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        const string box = "  tools: [shell]\nsandbox: { memory: 256MiB, disk: 32MiB, idle_timeout: 2s }\n";

        var (hung, results) = await PlayAsync(server, "sleeper", box);
        Assert.Equal((RunStatus.Paused, PauseCause.RetryExhausted, 0), (hung.Status, hung.Paused, results.Count));
        Assert.Contains("hung", hung.Detail, StringComparison.Ordinal);
        var failures = new List<string>();
        await foreach (var entry in server.Client.FollowAsync(hung.Id, new FollowOptions(), TestContext.Current.CancellationToken))
        {
            if (entry.Kind == "step_failed")
                failures.Add(entry.Body.GetProperty("failure").GetProperty("code").GetString()!);
            if (entry.Kind == "paused")
                break;
        }

        Assert.Equal([ErrorCodes.StepHung, ErrorCodes.StepHung], failures);
        Assert.Null(hung.WorkspaceRoot);

        var (busy, thoughts) = await PlayAsync(server, "thinker", box);
        Assert.Equal(RunStatus.Completed, busy.Status);
        Assert.Contains("thought", Assert.Single(thoughts), StringComparison.Ordinal);
    }

    /// <summary>Listed and read after the end, over the API, from the smaller tree alone.</summary>
    [Fact]
    public async Task A_run_that_keeps_its_artifacts_has_them_after_the_end_and_nothing_else()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var token = TestContext.Current.CancellationToken;

        var (run, _) = await PlayAsync(server, "builder", "  tools: [shell]\nsandbox: { memory: 256MiB, disk: 32MiB }\nworkspace: { artifacts: [report.md, out, missing], keep: artifacts }\n");

        Assert.Equal((RunStatus.Completed, WorkspaceKeep.Artifacts), (run.Status, run.Kept));
        Assert.Equal(["out/data", "report.md"], (await server.Client.ListFilesAsync(run.Id, token)).Select(f => f.Path));
        Assert.Equal("report\n"u8.ToArray(), await server.Client.ReadFileAsync(run.Id, "report.md", token));
    }

    /// <summary>The provider answers with a call all the same, as some do: it is not made.</summary>
    [Fact]
    public async Task At_its_limit_a_run_gets_one_last_answer_within_the_cap()
    {
        await using var server = await ServerProcess.StartAsync(script: Script);
        var id = await server.CreateAsync(ServerProcess.ManifestOf("spender", "limits: { tokens: 40k, on_limit: wrap_up }\nloop_guard: { on_loop: warn }\n"));

        var run = await Until.AsyncValue("the end", () => server.Client.GetRunAsync(id, TestContext.Current.CancellationToken), r => r.Status.IsFinal());

        Assert.Equal((RunStatus.Completed, "Not done yet."), (run.Status, run.Result));
        Assert.InRange(run.InputTokens + run.OutputTokens, 20_000, 40_000);
        Assert.Equal(run.ToolCalls + 1, run.Steps - run.ToolCalls);
        Assert.Equal(run.Steps - run.ToolCalls, server.AnsweredCalls(id).Distinct().Count());
    }

    private static async Task<(RunView Run, List<string> Tools)> PlayAsync(ServerProcess server, string model, string box = "  tools: [shell, files]\nsandbox: { memory: 256MiB, disk: 32MiB }\n")
    {
        var id = await server.CreateAsync(ServerProcess.ManifestOf(model, box));
        var tools = new List<string>();
        await foreach (var entry in server.Client.FollowAsync(id, new FollowOptions { Payloads = true }, TestContext.Current.CancellationToken))
        {
            if (entry.Kind == "step_completed" && entry.Body.GetProperty("step").GetProperty("kind").GetString() == "tool")
                tools.Add(entry.Result!.Value.GetProperty("text").GetString()!);
            if (entry.Kind == "paused")
                break;
        }

        return (await server.Client.GetRunAsync(id, TestContext.Current.CancellationToken), tools);
    }
}
