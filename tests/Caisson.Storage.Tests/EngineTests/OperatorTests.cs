using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class OperatorTests : EngineTestBase
{
    private static readonly RunOverrides NoRaise = new();

    [Fact]
    public async Task A_pause_takes_effect_at_the_next_step_and_a_resume_goes_on()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(4, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        Assert.IsType<InputOutcome.Accepted>(await server.Runs.PauseAsync(run, "me", "lunch", default));
        await TakenAsync(server, run);
        gate.Open();

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Operator, null, 2L), (paused.Paused, paused.Owner, paused.Summary.Steps));
        Assert.Equal("paused by me: lunch", paused.Summary.Detail);
        Assert.Empty(await server.Store.ReadInboxAsync(run, 10, default));

        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", NoRaise, default));
        var done = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((2L, null), (done.Epoch, done.Summary.Detail));
        Assert.Equal(["a", "b", "c", "d"], Executed);
        Assert.Single(await server.KindsAsync(run), EntryKind.Paused);
    }

    [Fact]
    public async Task A_pause_that_a_crash_overtook_is_not_lost()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(4, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Runs.PauseAsync(run, "me", null, default);
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(Steps(4));

        var paused = await next.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Operator, 1L), (paused.Paused, paused.Summary.Steps));
        Assert.Equal(["a", "b"], Executed);
    }

    [Fact]
    public async Task A_run_paused_before_its_start_executes_nothing()
    {
        await using (var closed = new TestServer(Folder))
        {
            var early = await closed.CreateAsync(Manifest);
            await closed.Runs.PauseAsync(early, "me", null, default);
        }

        var server = await StartAsync(Steps(2));
        var run = (await server.Runs.ListAsync(new RunFilter(null, null, null, 1), default))[0].Id;

        await server.UntilAsync(run, RunStatus.Paused);
        Assert.Empty(Executed);
    }

    [Fact]
    public async Task A_pause_of_a_paused_run_changes_nothing()
    {
        var (server, run) = await PausedAsync();

        await server.Runs.PauseAsync(run, "me", null, default);

        var record = await server.UntilAsync(run, r => r.Epoch == 2 && r.Owner is null, "was looked at");
        Assert.Equal((RunStatus.Paused, PauseCause.Operator), (record.Status, record.Paused));
        Assert.Empty(await server.Store.ReadInboxAsync(run, 10, default));
    }

    [Fact]
    public async Task A_cancel_interrupts_the_step_under_way()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await server.Runs.CancelAsync(run, "me", "wrong input", default);

        var record = await server.UntilAsync(run, RunStatus.Cancelled);
        Assert.Equal(("wrong input", null, null), (record.Summary.Detail, record.Owner, record.DueAt));
        Assert.Equal([EntryKind.CancelRequested, EntryKind.RunEnded], (await server.KindsAsync(run)).TakeLast(2));
        Assert.Single(await server.KindsAsync(run), EntryKind.CancelRequested);
        Assert.Equal(["a", "b"], Executed);
    }

    [Fact]
    public async Task A_step_that_does_not_listen_to_a_cancel_is_the_last_one()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => gate.PassAsync(CancellationToken.None));
            await StepAsync(context, "b");
            return "done";
        });
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Runs.CancelAsync(run, "me", null, default);
        await TakenAsync(server, run);

        gate.Open();

        await server.UntilAsync(run, RunStatus.Cancelled);
        Assert.Equal(["a"], Executed);
    }

    [Fact]
    public async Task A_cancel_behind_many_pauses_is_heard()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "a", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await Task.WhenAll(Enumerable.Range(0, 120).Select(_ => server.Runs.PauseAsync(run, "me", null, default)));

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
    }

    [Fact]
    public async Task A_cancel_that_a_crash_overtook_is_not_lost()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => gate.PassAsync(CancellationToken.None));
            return "done";
        });
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Runs.CancelAsync(run, "me", null, default);
        await TakenAsync(server, run);

        // The step ends only when the first process may write no more.
        await using var opens = server.Sessions[run].Owned.Register(gate.Open);
        await server.StopHardAsync();
        var next = await StartAsync(Steps(1));

        Assert.Equal(2, (await next.UntilAsync(run, RunStatus.Cancelled)).Epoch);
        Assert.Single(Executed);
        Assert.Single(await next.KindsAsync(run), EntryKind.RunEnded);
    }

    [Fact]
    public async Task A_paused_run_can_be_cancelled()
    {
        var (server, run) = await PausedAsync();

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
        Assert.Equal(["a"], Executed);
    }

    [Fact]
    public async Task A_run_in_its_back_off_can_be_cancelled()
    {
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => throw new CaissonException("broken_now", "not now", isTransient: true));
            return "done";
        }, random: new Random(3));
        var run = await server.CreateAsync(Manifest + "retry: {attempts: 100, elapsed: 1d}");
        await server.UntilAsync(run, RunStatus.Waiting);

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
    }

    [Fact]
    public async Task Only_a_paused_run_can_be_resumed()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(1, "a", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        var running = await server.Runs.ResumeAsync(run, "me", NoRaise, default);
        gate.Open();
        await server.UntilAsync(run, RunStatus.Completed);
        var ended = await server.Runs.ResumeAsync(run, "me", NoRaise, default);

        Assert.Equal(ErrorCodes.RunConflict, Assert.IsType<InputOutcome.Refused>(running).Failure.Code);
        Assert.Equal(ErrorCodes.RunEnded, Assert.IsType<InputOutcome.Refused>(ended).Failure.Code);
        Assert.Equal(ErrorCodes.RunEnded, Assert.IsType<InputOutcome.Refused>(await server.Runs.PauseAsync(run, "me", null, default)).Failure.Code);
        Assert.Equal(ErrorCodes.RunEnded, Assert.IsType<InputOutcome.Refused>(await server.Runs.CancelAsync(run, "me", null, default)).Failure.Code);
        var unknown = new RunId(new Core.SystemIds(TimeProvider.System).NextRun());
        Assert.IsType<InputOutcome.NotFound>(await server.Runs.ResumeAsync(unknown, "me", NoRaise, default));
        Assert.IsType<InputOutcome.NotFound>(await server.Runs.CancelAsync(unknown, "me", null, default));
    }

    [Fact]
    public async Task Two_resumes_go_on_once()
    {
        var (server, run) = await PausedAsync();

        await Task.WhenAll(server.Runs.ResumeAsync(run, "me", NoRaise, default), server.Runs.ResumeAsync(run, "you", NoRaise, default));

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "b", "c"], Executed);
        Assert.Single(await server.KindsAsync(run), EntryKind.Resumed);
    }

    [Fact]
    public async Task A_limit_raised_on_a_running_run_is_journaled_once_and_counts_at_once()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(4, "b", gate));
        var run = await server.CreateAsync(Manifest + "limits: {steps: 2}");
        await gate.Reached;

        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Steps: 10), default));
        await TakenAsync(server, run);
        gate.Open();

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Single(await server.KindsAsync(run), EntryKind.LimitRaised);
    }

    [Fact]
    public async Task Without_any_signal_inputs_are_found_by_the_sweep()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "a", gate), signals: false);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
    }

    private async Task<(TestServer Server, RunId Run)> PausedAsync()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "a", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Runs.PauseAsync(run, "me", null, default);
        await TakenAsync(server, run);
        gate.Open();
        await server.UntilAsync(run, RunStatus.Paused);
        return (server, run);
    }

    /// <summary>Waits until the owner has seen what was posted, so that the step under test ends after that.</summary>
    private static Task TakenAsync(TestServer server, RunId run) => server.Sessions[run].Inbox.DrainAsync();
}
