using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Loop agents whose policy at a limit is to give one last answer.</summary>
public sealed class WrapUpTests : EngineTestBase
{
    private const string Loop = "name: loop\nloop: {model: mock/m, instructions: go}\n";

    [Fact]
    public async Task At_its_step_limit_a_run_says_what_it_has_with_the_one_step_kept_back()
    {
        var model = new BusyModel();
        var server = await StartAsync(models: model);

        var run = await server.CreateAsync(Loop + "limits: {steps: 6, on_limit: wrap_up}", "hello");

        var record = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(("wrapped up", 6L, 2L), (record.Summary.Result, record.Summary.Steps, record.Summary.ToolCalls));
        var last = model.Sent[^1];
        Assert.Equal((true, 4), (last.ToolsOff, model.Sent.Count));
        Assert.Contains("limit of steps", last.Note, StringComparison.Ordinal);

        // The tool call that was denied has an answer, or the conversation would be no conversation.
        Assert.Equal(WrapUp.NotRun, last.Messages[^1].Text);
        Assert.Equal(3, last.Messages.Count(m => m.Role == ModelRole.Tool));
        var hit = Assert.Single(await server.JournalAsync(run), e => e.Kind == EntryKind.LimitHit);
        Assert.Equal((6L, 5L, true), (Read(hit).Cap, Read(hit).Spent, Read(hit).WrapUp));
    }

    [Theory]
    [InlineData("tokens: 8000")]
    [InlineData("input_tokens: 8000")]
    [InlineData("usd: 0.000016")]
    public async Task The_last_call_of_a_run_stays_within_the_cap_and_has_the_reserve(string limit)
    {
        var model = new BusyModel();
        var server = await StartAsync(models: model);

        var run = await server.CreateAsync($"{Loop}limits: {{{limit}, on_limit: wrap_up}}\nloop_guard: {{on_loop: warn}}");

        var record = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal("wrapped up", record.Summary.Result);
        var rows = await server.Store.ReadBudgetAsync(BudgetNodes.Of(run), default);
        Assert.All(rows.Where(r => r.State.Cap is not null && Amounts.Dimensions.Contains(r.Dimension)), r => Assert.InRange(r.State.Spent, 1, r.State.Cap!.Value));

        // The work stopped where the reserve begins, not where the cap is.
        var hit = Read((await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.LimitHit));
        Assert.InRange(hit.Spent, 1, hit.Cap - (hit.Dimension == LimitDimension.NanoUsd ? 4_096 : 2_048));
        Assert.InRange(model.Sent[^1].MaxOutputTokens!.Value, WrapUp.UsefulOutput, 2_048);
    }

    [Fact]
    public async Task A_crash_in_the_last_call_repeats_it_with_what_is_left_and_passes_no_cap()
    {
        var gate = new Gate();
        var model = new BusyModel { LastGate = gate };
        var server = await StartAsync(models: model);
        var run = await server.CreateAsync(Loop + "limits: {tokens: 12000, on_limit: wrap_up, wrap_up_tokens: 4000}\nloop_guard: {on_loop: warn}");
        await gate.Reached;
        var before = model.Sent.Count;
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(models: model);

        var record = await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((before + 1, "wrapped up"), (model.Sent.Count, record.Summary.Result));
        Assert.InRange(record.Tokens.InDoubt, 1, 12_000);
        Assert.InRange(record.Tokens.Spent, record.Tokens.InDoubt, 12_000);
        Assert.Single(await next.KindsAsync(run), EntryKind.LimitHit);
    }

    [Fact]
    public async Task Where_not_even_the_last_call_fits_the_run_pauses_and_a_raise_lets_the_work_go_on()
    {
        var model = new BusyModel { ContentAfter = 9 };
        var server = await StartAsync(models: model);

        // The instructions alone are larger than the reserve: nothing useful is left at the end.
        var loop = $"name: loop\nloop: {{model: mock/m, instructions: {new string('x', 900)}}}\n";
        var run = await server.CreateAsync(loop + "limits: {tokens: 4000, on_limit: wrap_up, wrap_up_tokens: 1024}");

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.Tokens), (paused.Paused, paused.Summary.LimitAt));
        Assert.DoesNotContain(model.Sent, r => r.ToolsOff);

        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Tokens: 1_000_000), default));

        Assert.Equal("content", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.DoesNotContain(model.Sent, r => r.ToolsOff);
    }

    [Fact]
    public async Task Of_calls_side_by_side_those_that_a_limit_denies_are_answered_as_not_run()
    {
        var model = new BusyModel { Calls = 4 };
        var server = await StartAsync(models: model);

        var run = await server.CreateAsync(Loop + "limits: {tool_calls: 2, on_limit: wrap_up}");

        Assert.Equal(("wrapped up", 2L), ((await server.UntilAsync(run, RunStatus.Completed)).Summary.Result, (await server.Runs.FindAsync(run, default))!.Summary.ToolCalls));
        var results = model.Sent[^1].Messages.Where(m => m.Role == ModelRole.Tool).ToList();
        Assert.Equal(2, results.Count(m => m.Text == WrapUp.NotRun));
        Assert.Equal(4, results.Count);
    }

    [Fact]
    public async Task When_its_time_is_over_no_last_call_is_made()
    {
        var gate = new Gate();
        var clock = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var model = new BusyModel { Act = turn => turn == "turn 1" ? gate.PassAsync() : Task.CompletedTask };
        var server = await StartAsync(clock: clock, models: model);
        var run = await server.CreateAsync(Loop + "limits: {deadline: 1m, on_limit: wrap_up}");
        await gate.Reached;

        clock.Advance(TimeSpan.FromMinutes(2));
        gate.Open();

        Assert.Equal((PauseCause.Budget, 2), ((await server.UntilAsync(run, RunStatus.Paused)).Paused, model.Sent.Count));
    }

    private static EntryBody.LimitHit Read(JournalEntry entry) => JournalJson.Read<EntryBody.LimitHit>(entry.Body);
}
