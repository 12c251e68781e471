using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class LimitTests : EngineTestBase
{
    [Fact]
    public async Task At_its_step_limit_a_run_pauses_until_the_limit_is_raised()
    {
        var server = await StartAsync(Steps(5));
        var run = await server.CreateAsync(Manifest + "limits: {steps: 3}");

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.Steps, 3L), (paused.Paused, paused.Summary.LimitAt, paused.Summary.Steps));
        Assert.Equal([EntryKind.LimitHit, EntryKind.Paused], (await server.KindsAsync(run)).TakeLast(2));

        foreach (var tooLittle in new[] { new RunOverrides(), new RunOverrides(Steps: 3), new RunOverrides(Tokens: 1_000) })
            Assert.Equal(ErrorCodes.BudgetExceeded, Assert.IsType<InputOutcome.Refused>(await server.Runs.ResumeAsync(run, "me", tooLittle, default)).Failure.Code);
        Assert.Equal(ErrorCodes.RequestInvalid, Assert.IsType<InputOutcome.Refused>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Steps: 0), default)).Failure.Code);
        Assert.Equal(["a", "b", "c"], Executed);

        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Steps: 5), default));
        var done = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((null, 5L), (done.Summary.LimitAt, done.Summary.Steps));
        Assert.Equal(["a", "b", "c", "d", "e"], Executed);
    }

    [Fact]
    public async Task A_raised_limit_is_still_raised_after_a_crash()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(5, "d", gate));
        var run = await server.CreateAsync(Manifest + "limits: {steps: 2}");
        await server.UntilAsync(run, RunStatus.Paused);
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(Steps: 5), default);
        await gate.Reached;
        await server.StopHardAsync();

        var next = await StartAsync(Steps(5));

        await next.UntilAsync(run, RunStatus.Completed);
    }

    /// <summary>Another run keeps the tenant's counters in memory all the while.</summary>
    [Fact]
    public async Task A_tenant_s_cap_reaches_a_server_at_work_and_counts_the_steps_of_roots_for_the_next_one_too()
    {
        var gate = new Gate();
        var steps = Steps(5, "c", gate);
        var server = await StartAsync(async context => context.Input == "waits" ? (await context.WaitForSignalAsync("never"))!.Name : await steps(context));
        await server.UntilAsync(await server.CreateAsync(Manifest, "waits"), RunStatus.Waiting);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await CapAsync(server, "1");
        gate.Open();
        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((LimitDimension.Steps, "tenant:default", 3L), (paused.Summary.LimitAt, paused.Summary.LimitAbove, paused.Summary.Steps));

        await CapAsync(server, "3");
        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default));
        Assert.Null((await server.UntilAsync(run, RunStatus.Completed)).Summary.LimitAbove);
        await server.StopHardAsync();

        var next = await StartAsync(Steps(1));
        Assert.Equal(0, (await next.UntilAsync(await next.CreateAsync(Manifest), RunStatus.Paused)).Summary.Steps);
    }

    /// <summary>A cap may be set where this server is not told of it.</summary>
    [Fact]
    public async Task A_tenant_s_cap_that_nobody_told_of_is_found()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            for (var i = 0; ; i++)
                await StepAsync(context, $"{i}", i == 0 ? cancellation => gate.PassAsync(cancellation) : null);
        });
        var run = await server.CreateAsync(Manifest, limits: new RunOverrides(Steps: 1_000_000));
        await gate.Reached;

        await server.Store.SetCapAsync("tenant:default", LimitDimension.Steps, 1, default);
        gate.Open();

        Assert.Equal("tenant:default", (await server.UntilAsync(run, RunStatus.Paused)).Summary.LimitAbove);
    }

    private static async Task CapAsync(TestServer server, string steps) =>
        Assert.IsType<OperationOutcome.Accepted>(await server.Operations.SetTenantCapsAsync("default", new Dictionary<string, string> { ["steps"] = steps }, default));

    [Fact]
    public async Task A_run_told_to_stop_at_its_limit_fails()
    {
        var server = await StartAsync(Steps(5));

        var record = await server.UntilAsync(await server.CreateAsync(Manifest + "limits: {steps: 3, on_limit: stop}"), RunStatus.Failed);

        Assert.Equal(ErrorCodes.BudgetExceeded, record.Summary.Failure?.Code);
    }

    [Fact]
    public async Task A_limit_given_with_the_request_counts_in_place_of_the_manifests()
    {
        var server = await StartAsync(Steps(5));

        var run = await server.CreateAsync(Manifest + "limits: {steps: 3}", limits: new RunOverrides(Steps: 1));

        Assert.Equal(1, (await server.UntilAsync(run, RunStatus.Paused)).Summary.Steps);
    }

    /// <summary>Each chain begins its second step while the others' first are being written.</summary>
    [Fact]
    public async Task Steps_side_by_side_do_not_pass_the_limit_together()
    {
        for (var round = 0; round < 5; round++)
        {
            Executed.Clear();
            var server = await StartAsync(async context =>
            {
                await Task.WhenAll(Enumerable.Range(0, 8).Select(async chain =>
                {
                    for (var i = 0; i < 5; i++)
                        await StepAsync(context, $"{chain}.{i}");
                }));
                return "done";
            });

            var run = await server.CreateAsync(Manifest + "limits: {steps: 13}");

            await server.UntilAsync(run, RunStatus.Paused);
            Assert.Equal(13, Executed.Count);
            await server.StopHardAsync();
        }
    }

    [Fact]
    public async Task All_steps_side_by_side_that_the_limit_allows_are_admitted()
    {
        var server = await StartAsync(async context =>
        {
            await Task.WhenAll(Enumerable.Range(0, 8).Select(async chain =>
            {
                for (var i = 0; i < 5; i++)
                    await StepAsync(context, $"{chain}.{i}");
            }));
            return "done";
        });

        await server.UntilAsync(await server.CreateAsync(Manifest + "limits: {steps: 40}"), RunStatus.Completed);
    }

    [Fact]
    public async Task At_its_deadline_a_run_is_interrupted_and_a_longer_one_resumes_it()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "a", gate));
        var run = await server.CreateAsync(Manifest, limits: new RunOverrides(Deadline: TimeSpan.FromMilliseconds(300)));

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.Deadline), (paused.Paused, paused.Summary.LimitAt));
        Assert.Equal(ErrorCodes.BudgetExceeded, Assert.IsType<InputOutcome.Refused>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Deadline: TimeSpan.FromMilliseconds(300)), default)).Failure.Code);

        gate.Open();
        Assert.IsType<InputOutcome.Accepted>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(Deadline: TimeSpan.FromHours(1)), default));
        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "a", "b"], Executed);
    }

    [Fact]
    public async Task A_run_told_to_stop_at_its_deadline_fails()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(1, "a", gate));

        var run = await server.CreateAsync(Manifest + "limits: {on_limit: stop}", limits: new RunOverrides(Deadline: TimeSpan.FromMilliseconds(100)));

        Assert.Equal(ErrorCodes.DeadlineExceeded, (await server.UntilAsync(run, RunStatus.Failed)).Summary.Failure?.Code);
    }

    /// <summary>Timers hold seven weeks at most.</summary>
    [Fact]
    public async Task A_deadline_a_year_away_is_a_deadline_like_any_other()
    {
        var server = await StartAsync(Steps(2));

        var run = await server.CreateAsync(Manifest + "limits: {deadline: 365d}");

        await server.UntilAsync(run, RunStatus.Completed);
    }

    [Fact]
    public async Task A_deadline_raised_while_the_step_runs_does_not_interrupt_it()
    {
        var gate = new Gate();
        var clock = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        var server = await StartAsync(Steps(2, "a", gate), clock);
        var run = await server.CreateAsync(Manifest + "limits: {deadline: 2s}");
        await gate.Reached;
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(Deadline: TimeSpan.FromHours(1)), default);
        await server.Sessions[run].Inbox.DrainAsync();

        clock.Advance(TimeSpan.FromSeconds(3));
        gate.Open();

        Assert.Equal(1, (await server.UntilAsync(run, RunStatus.Completed)).Epoch);
        Assert.Equal(["a", "b"], Executed);
    }
}
