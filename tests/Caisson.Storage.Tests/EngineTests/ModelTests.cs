using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Loop agents with a scripted model: every call of it asks for a tool that does not exist, which needs no box.</summary>
public sealed class ModelTests : EngineTestBase
{
    private const string Loop = "name: loop\nloop: {model: mock/m, instructions: go}\n";

    [Fact]
    public async Task A_loop_agent_asks_until_the_model_calls_no_tool()
    {
        var models = new ScriptedModel(turn => turn < 3 ? $"{{\"n\":{turn}}}" : null);
        var server = await StartAsync(models: models);

        var run = await server.CreateAsync(Loop, "hello");

        var record = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(("finished", 7L, 3L), (record.Summary.Result, record.Summary.Steps, record.Summary.ToolCalls));
        Assert.Equal((4L * 7, 0L), (record.Money.Spent, record.Money.Held));
        Assert.Equal(4, models.Sent);
    }

    [Fact]
    public async Task A_crash_in_a_model_call_repeats_that_call_and_accounts_it_as_in_doubt()
    {
        var gate = new Gate();
        var models = new ScriptedModel(turn => turn < 3 ? $"{{\"n\":{turn}}}" : null) { GateAt = 2, Gate = gate };
        var server = await StartAsync(models: models);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(models: models);

        var record = await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(5, models.Sent);
        Assert.Equal((4L * 7 + 10, 10L, 0L), (record.Money.Spent, record.Money.InDoubt, record.Money.Held));
        Assert.Equal(5, (await next.KindsAsync(run)).Count(k => k == EntryKind.StepStarted));
    }

    [Fact]
    public async Task At_its_money_limit_a_run_pauses_before_it_spends_and_a_raise_resumes_it()
    {
        var models = new ScriptedModel(turn => turn < 3 ? $"{{\"n\":{turn}}}" : null);
        var server = await StartAsync(models: models);

        // Each call holds 10 and costs 7: after two, 14 are gone and another hold would pass 20.
        var run = await server.CreateAsync(Loop + "limits: {usd: 0.000000020}");

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.NanoUsd, 14L, 0L, 2), (paused.Paused, paused.Summary.LimitAt, paused.Money.Spent, paused.Money.Held, models.Sent));
        Assert.IsType<InputOutcome.Refused>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Usd: "0.000000014"), default));
        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Usd: "1"), default));

        var done = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((28L, 1_000_000_000L, 4), (done.Money.Spent, done.Money.Cap, models.Sent));
    }

    [Fact]
    public async Task A_repeated_call_is_warned_about_at_three_pauses_at_eight_and_counts_anew_after_a_resume()
    {
        var models = new ScriptedModel(turn => turn < 12 ? "{\"same\":true}" : null);
        var server = await StartAsync(models: models);
        var run = await server.CreateAsync(Loop);

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Loop, 8L), (paused.Paused, paused.Summary.ToolCalls));
        Assert.Equal([3, 4, 5, 6, 7], Enumerable.Range(0, models.Notes.Count).Where(i => models.Notes[i] is not null));
        var suspected = (await server.JournalAsync(run)).Where(e => e.Kind == EntryKind.LoopSuspected).Select(e => JournalJson.Read<EntryBody.LoopSuspected>(e.Body)).ToList();
        Assert.Equal([(3, false), (4, false), (5, false), (6, false), (7, false), (8, true)], suspected.Select(s => (s.Count, s.Acted)));

        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        // Four more of the same are fewer than eight since the resume.
        Assert.Equal(12, (await server.UntilAsync(run, RunStatus.Completed)).Summary.ToolCalls);
    }

    [Fact]
    public async Task After_a_resume_and_a_crash_the_calls_before_the_resume_still_do_not_count()
    {
        var gate = new Gate();
        var models = new ScriptedModel(turn => turn < 14 ? "{\"same\":true}" : null) { GateAt = 12, Gate = gate };
        var server = await StartAsync(models: models);
        var run = await server.CreateAsync(Loop);
        await server.UntilAsync(run, RunStatus.Paused);
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(models: models);

        Assert.Equal(14, (await next.UntilAsync(run, RunStatus.Completed)).Summary.ToolCalls);
    }

    [Fact]
    public async Task A_loop_told_to_stop_fails_and_one_told_to_warn_goes_on()
    {
        var server = await StartAsync(models: new ScriptedModel(turn => turn < 10 ? "{\"same\":true}" : null));
        var warned = await StartedAsync(server, "loop_guard: {on_loop: warn}");
        Assert.Equal(RunStatus.Completed, (await server.UntilAsync(warned, r => r.Status.IsFinal(), "is over")).Status);
        await server.StopHardAsync();

        var other = await StartAsync(models: new ScriptedModel(turn => turn < 10 ? "{\"same\":true}" : null));
        var stopped = await StartedAsync(other, "loop_guard: {on_loop: stop}");
        Assert.Equal(ErrorCodes.LoopDetected, (await other.UntilAsync(stopped, RunStatus.Failed)).Summary.Failure?.Code);

        static Task<RunId> StartedAsync(TestServer on, string guard) => on.CreateAsync(Loop + guard);
    }

    [Fact]
    public async Task Polling_with_another_result_each_time_is_no_loop()
    {
        var server = await StartAsync(models: new ScriptedModel(turn => turn < 20 ? $"{{\"n\":{turn}}}" : null));

        await server.UntilAsync(await server.CreateAsync(Loop), RunStatus.Completed);
    }

    [Fact]
    public async Task A_pause_between_a_model_call_and_its_tools_is_taken_at_the_boundary()
    {
        var gate = new Gate();
        var models = new ScriptedModel(turn => turn < 3 ? $"{{\"n\":{turn}}}" : null) { GateAt = 1, Gate = gate };
        var server = await StartAsync(models: models);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;
        await server.Runs.PauseAsync(run, "me", null, default);
        await models.Session!.Inbox.DrainAsync();
        gate.Open();

        // The model call under way is paid for and recorded; its tools wait.
        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((3L, 1L, 0L), (paused.Summary.Steps, paused.Summary.ToolCalls, paused.Money.Held));
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);
        await server.UntilAsync(run, RunStatus.Completed);
    }

    /// <summary>A turn's part of the journal is what is new in it: the conversation before it is never stored again.</summary>
    [Theory]
    [InlineData(100)]
    [InlineData(12_000)]
    public async Task Two_hundred_turns_cost_twice_as_much_as_one_hundred(int bytes)
    {
        const int turns = 200;
        var models = new ScriptedModel(turn => turn < turns ? $"{{\"n\":\"{turn:D4}{new string('x', bytes)}\"}}" : null);
        var server = await StartAsync(models: models);

        var run = await server.CreateAsync(Loop + "limits: {steps: 1000, tool_calls: 1000, model_calls: 1000}\n");

        await server.UntilAsync(run, RunStatus.Completed);
        var blobs = Directory.EnumerateFiles(Path.Combine(Folder, "blobs"), "*", SearchOption.AllDirectories).ToDictionary(f => Path.GetFileName(f)!, f => new FileInfo(f).Length);
        var stored = new HashSet<string>();
        var costs = new List<long>();
        foreach (var entry in await StoredAsync(server, run))
        {
            if (entry.Kind == EntryKind.StepStarted)
                costs.Add(0);
            if (costs.Count == 0)
                continue;
            costs[^1] += entry.Body.Length + (entry.Payload?.Length ?? 0);
            if (entry.Blob is { } blob && stored.Add(blob))
                costs[^1] += blobs.Single(b => blob.EndsWith(b.Key, StringComparison.Ordinal)).Value;
        }

        Assert.Equal(turns + 1, costs.Count);
        Assert.Equal(bytes > 8192, stored.Count >= turns);
        Assert.InRange(costs[199], bytes > 8192 ? 500 : bytes, (long)(costs[99] * 1.1));
        Assert.InRange(costs.Skip(100).Take(100).Sum(), 1, (long)(costs.Take(100).Sum() * 1.1));
    }

    [Fact]
    public async Task A_command_finds_the_key_of_its_step_in_its_environment_and_after_a_crash_the_same_one()
    {
        var gate = new Gate();
        var models = new ScriptedModel(turn => turn < 2 ? $"{{\"command\":\"curl {turn}\"}}" : null) { Tool = "shell" };
        var manifest = Loop.Replace("go}", "go, tools: [shell]}", StringComparison.Ordinal);
        var first = new RecordingBoxes(gate);
        var server = await StartAsync(models: models, sandboxes: [first]);
        var run = await server.CreateAsync(manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var second = new RecordingBoxes(gate);

        var next = await StartAsync(models: models, sandboxes: [second]);

        await next.UntilAsync(run, RunStatus.Completed);
        var keys = (await next.JournalAsync(run)).Where(e => e.Kind == EntryKind.StepCompleted && JournalJson.Read<EntryBody.StepCompleted>(e.Body).Step.Kind == StepKind.Tool).Select(e => $"{run}.{e.Key}").ToList();
        Assert.Equal([$"{keys[0]} {run} 1 1"], first.Seen);
        Assert.Equal([$"{keys[0]} {run} 2 1", $"{keys[1]} {run} 2 1"], second.Seen);
    }

    private static async Task<IReadOnlyList<JournalEntry>> StoredAsync(TestServer server, RunId run)
    {
        var entries = new List<JournalEntry>();
        while (await server.Store.ReadJournalAsync(run, entries.Count, 500, default) is { Count: > 0 } page)
            entries.AddRange(page);
        return entries;
    }
}
