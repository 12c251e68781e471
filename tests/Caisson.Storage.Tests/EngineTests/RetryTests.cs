using Caisson.Contracts;
using Caisson.Core.Journal;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class RetryTests : EngineTestBase
{
    private static readonly CaissonException Transient = new("broken_now", "not now", isTransient: true);

    [Fact]
    public async Task A_step_that_fails_for_now_is_tried_again_and_each_failure_is_journaled()
    {
        var attempts = 0;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => ++attempts < 3 ? throw Transient : Task.CompletedTask);
            return "done";
        });

        var run = await server.CreateAsync(Manifest);

        var record = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((3, WaitReason.None), (attempts, record.Waiting));
        var entries = await server.JournalAsync(run);
        Assert.Equal([EntryKind.StepFailed, EntryKind.StepFailed, EntryKind.StepCompleted, EntryKind.RunEnded], entries.Skip(2).Select(e => e.Kind));
        Assert.Equal([1, 2, 3], entries.Skip(2).Take(3).Select(e => e.Attempt));
    }

    [Fact]
    public async Task A_failure_of_the_authors_own_code_is_tried_again_as_well()
    {
        var attempts = 0;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => ++attempts < 3 ? throw new InvalidOperationException("oops") : Task.CompletedTask);
            return "done";
        });

        await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Completed);

        Assert.Equal(3, attempts);
    }

    /// <summary>The clock stands still: whoever waited for the retry's time would wait for ever.</summary>
    [Fact]
    public async Task A_cancel_during_a_wait_for_a_retry_is_obeyed_at_once_and_no_attempt_follows()
    {
        var (server, run, attempts) = await WaitingAsync();

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
        Assert.Equal(1, attempts());
    }

    [Fact]
    public async Task A_pause_during_a_wait_for_a_retry_is_obeyed_at_once()
    {
        var (server, run, attempts) = await WaitingAsync();

        await server.Runs.PauseAsync(run, "me", null, default);

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Operator, 1), (paused.Paused, attempts()));
    }

    private async Task<(TestServer Server, RunId Run, Func<int> Attempts)> WaitingAsync()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var attempts = 0;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ =>
            {
                attempts++;
                throw Transient;
            });
            return "done";
        }, clock, random: new Half());
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        return (server, run, () => attempts);
    }

    [Fact]
    public async Task Between_attempts_the_run_shows_as_waiting_until_its_time()
    {
        var clock = new FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var attempts = 0;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => ++attempts < 2 ? throw Transient : Task.CompletedTask);
            return "done";
        }, clock, random: new Half());
        var run = await server.CreateAsync(Manifest);

        var waiting = await server.UntilAsync(run, RunStatus.Waiting);

        Assert.Equal((WaitReason.Retry, clock.GetUtcNow().AddMilliseconds(100)), (waiting.Waiting, waiting.DueAt));
        Assert.Contains("not now", waiting.Summary.Detail, StringComparison.Ordinal);
        Assert.NotNull(waiting.Owner);

        // The driver arms its timer after the write that shows the wait; the clock goes on until it has fired.
        while ((await server.Store.FindAsync(run, default))!.Status != RunStatus.Completed && clock.GetUtcNow() < waiting.CreatedAt.AddSeconds(30))
        {
            clock.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(2, attempts);
    }

    [Fact]
    public async Task When_the_attempts_are_used_up_the_run_pauses_and_a_resume_tries_again()
    {
        var broken = true;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a");
            await StepAsync(context, "b", _ => broken ? throw Transient : Task.CompletedTask);
            return "done";
        });
        var run = await server.CreateAsync(Manifest + "retry: {attempts: 3}");

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.RetryExhausted, null, null), (paused.Paused, paused.Owner, paused.DueAt));
        Assert.Contains("not now", paused.Summary.Detail, StringComparison.Ordinal);
        Assert.Equal(3, (await server.KindsAsync(run)).Count(k => k == EntryKind.StepFailed));

        broken = false;
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "b", "b", "b", "b"], Executed);
        Assert.Equal(4, (await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.StepCompleted && e.Attempt > 1).Attempt);
    }

    [Fact]
    public async Task A_failure_that_trying_again_cannot_mend_ends_the_run()
    {
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => throw new CaissonException("broken_for_good", "never"));
            return "done";
        });

        var record = await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Failed);

        Assert.Equal(("broken_for_good", "never"), (record.Summary.Failure!.Code, record.Summary.Failure.Message));
        Assert.Single(Executed);
    }

    /// <summary>An HTTP client's own time-out comes as a cancellation that nobody asked for.</summary>
    [Fact]
    public async Task A_cancellation_that_nobody_asked_for_is_a_failure_of_the_step()
    {
        var attempts = 0;
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a", _ => ++attempts < 2 ? throw new TaskCanceledException("the request timed out") : Task.CompletedTask);
            return "done";
        });
        var run = await server.CreateAsync(Manifest);

        await server.UntilAsync(run, RunStatus.Completed);

        Assert.Contains("timed out", JournalJson.Read<EntryBody.StepFailed>((await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.StepFailed).Body).Failure.Message, StringComparison.Ordinal);
        Assert.True(server.Engine.Ready);
    }

    [Fact]
    public async Task An_agent_that_throws_outside_a_step_fails_its_run_and_nothing_else()
    {
        var server = await StartAsync(context => context.Input == "cancel" ? throw new OperationCanceledException("mine") : throw new InvalidOperationException("mine"));

        foreach (var input in new[] { "cancel", "throw" })
        {
            var record = await server.UntilAsync(await server.CreateAsync(Manifest, input), RunStatus.Failed);
            Assert.Equal(ErrorCodes.Internal, record.Summary.Failure!.Code);
            Assert.Contains("mine", record.Summary.Failure.Message, StringComparison.Ordinal);
        }

        Assert.True(server.Engine.Ready);
    }

    [Fact]
    public async Task An_agent_may_return_while_a_step_it_gave_up_is_in_its_back_off()
    {
        TestServer? server = null;
        server = await StartAsync(async context =>
        {
            _ = StepAsync(context, "given up", _ => throw Transient);
            await StepAsync(context, "other", async _ => await server!.UntilAsync(context.Run, RunStatus.Waiting));
            return "done";
        }, random: new Half());

        var record = await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Completed);

        Assert.Equal(1, record.Epoch);
    }

    private sealed class Half() : Random(0)
    {
        public override double NextDouble() => 0.5;
    }
}
