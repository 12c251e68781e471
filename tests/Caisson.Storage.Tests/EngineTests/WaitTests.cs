#pragma warning disable VSTHRD002 // Reads of the embedded store in a condition that is looked at again and again.
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>What a run waits for: time, signals, people.</summary>
public sealed class WaitTests : EngineTestBase
{
    private static readonly EngineOptions Unloads = new() { HoldWaiting = TimeSpan.Zero };

    [Fact]
    public async Task A_run_that_sleeps_is_unloaded_and_comes_back_when_the_time_has_come()
    {
        var clock = Clock();
        var server = await StartAsync(Sleeper, clock, options: Unloads);
        var run = await server.CreateAsync(Manifest);

        var asleep = await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Owner is null, "is unloaded");
        Assert.Equal(WaitReason.Timer, asleep.Waiting);
        Assert.Equal(clock.GetUtcNow() + TimeSpan.FromSeconds(2), asleep.DueAt!.Value, TimeSpan.FromMilliseconds(1));
        clock.Advance(TimeSpan.FromSeconds(2));
        server.Sweep(run);

        var done = await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal((2L, "2"), (done.Epoch, done.Summary.Result));
        Assert.Equal([EntryKind.RunCreated, EntryKind.EpochClaimed, EntryKind.TimerSet, EntryKind.EpochClaimed, EntryKind.TimerFired, EntryKind.RunEnded], await server.KindsAsync(run));
    }

    [Fact]
    public async Task A_sleep_survives_the_servers_end_and_is_not_begun_anew()
    {
        var clock = Clock();
        var server = await StartAsync(Sleeper, clock);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        await server.StopHardAsync();
        clock.Advance(TimeSpan.FromSeconds(2));

        var next = await StartAsync(Sleeper, clock);

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Single(await next.KindsAsync(run), EntryKind.TimerSet);
    }

    [Fact]
    public async Task Signals_are_taken_in_order_of_arrival_those_before_the_start_included()
    {
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var all = new List<string>();
            for (var i = 0; i < 3; i++)
                all.Add((await context.WaitForSignalAsync("go"))!.Payload);
            return string.Join(" ", all);
        };
        RunId run;
        await using (var closed = new TestServer(Folder))
        {
            run = await closed.CreateAsync(Manifest);
            await SignalAsync(closed, run, "go", "1");
            await SignalAsync(closed, run, "other", "9");
            await SignalAsync(closed, run, "go", "2");
        }

        var server = await StartAsync(agent, options: Unloads);
        await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Owner is null, "is unloaded");
        await SignalAsync(server, run, "go", "3");

        Assert.Equal("1 2 3", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(4, (await server.KindsAsync(run)).Count(k => k == EntryKind.SignalConsumed));
    }

    [Fact]
    public async Task Two_who_wait_for_one_name_are_served_in_the_order_they_asked()
    {
        var server = await StartAsync(async context =>
        {
            var both = await Task.WhenAll(context.WaitForSignalAsync("go"), context.WaitForSignalAsync("go"));
            return $"{both[0]!.Payload} {both[1]!.Payload}";
        });
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);

        await SignalAsync(server, run, "go", "1");
        await SignalAsync(server, run, "go", "2");

        Assert.Equal("1 2", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Theory]
    [InlineData(true, "7")]
    [InlineData(false, "none")]
    public async Task A_wait_with_a_timeout_ends_with_what_comes_first(bool signal, string expected)
    {
        var clock = Clock();
        Func<IRunContext, Task<string>> agent = async context =>
        {
            var got = await context.WaitForSignalAsync("go", TimeSpan.FromSeconds(2));
            await context.WaitForSignalAsync("end");
            return got?.Payload ?? "none";
        };
        var server = await StartAsync(agent, clock, options: Unloads);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Owner is null, "is unloaded");

        if (signal)
            await SignalAsync(server, run, "go", "7");
        else
            clock.Advance(TimeSpan.FromSeconds(2));
        server.Sweep(run);
        await server.UntilAsync(run, r => r.Epoch >= 2 && r.Status == RunStatus.Waiting && r.Owner is null, "waits for the end");
        await server.StopHardAsync();
        var next = await StartAsync(agent, clock);
        if (!signal)
            await SignalAsync(next, run, "go", "8");
        await SignalAsync(next, run, "end", "0");

        Assert.Equal(expected, (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_approval_is_answered_by_a_person(bool yes)
    {
        var server = await StartAsync(Asker(new ApprovalOptions()), options: Unloads);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Owner is null, "is unloaded");

        await DecideAsync(server, run, yes, "ann");

        Assert.Equal($"{yes} ann False", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task An_approval_that_nobody_answers_in_time_is_a_no()
    {
        var clock = Clock();
        var server = await StartAsync(Asker(new ApprovalOptions { Timeout = TimeSpan.FromSeconds(2) }), clock);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);

        clock.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal("False  True", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task Four_eyes_are_two_people_and_the_same_one_twice_is_one()
    {
        var server = await StartAsync(Asker(new ApprovalOptions { FourEyes = true }));
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);

        await DecideAsync(server, run, true, "ann");
        await DecideAsync(server, run, true, "ann");
        await server.UntilAsync(run, r => server.Store.ReadInboxAsync(run, 10, default).Result.Count == 0, "has taken both over");
        Assert.Equal(RunStatus.Waiting, (await server.UntilAsync(run, RunStatus.Waiting)).Status);
        await DecideAsync(server, run, true, "bob");

        Assert.Equal("True ann+bob False", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Empty((await server.Operations.VerifyAsync(run, default))!.Findings);
    }

    /// <summary>The turn finds the approval expired while the decision is being written: there is one answer, and it is the person's.</summary>
    [Fact]
    public async Task A_decision_at_the_very_moment_of_the_expiry_is_the_only_one()
    {
        var clock = Clock();
        var server = await StartAsync(Asker(new ApprovalOptions { Timeout = TimeSpan.FromSeconds(2) }), clock);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        var session = server.Sessions[run];
        var key = session.History.Approvals.Keys.Single();

        await session.Inbox.ClosedAsync(() => session.WriteAsync(new Unit
        {
            Entries = [new EntryDraft(EntryKind.ApprovalDecided, new EntryBody.ApprovalDecided(true, ["ann"], null, false)) { Key = key }],
            Transition = state =>
            {
                clock.Advance(TimeSpan.FromSeconds(3));
                return RunSession.Proceed(state);
            },
        }, default));

        var done = await server.UntilAsync(run, r => r.Status is RunStatus.Completed or RunStatus.Paused, "came out");
        Assert.Equal((RunStatus.Completed, "True ann False"), (done.Status, done.Summary.Result));
        Assert.Single(await server.KindsAsync(run), EntryKind.ApprovalDecided);
    }

    [Fact]
    public async Task A_run_that_waits_can_be_cancelled_and_its_agent_cannot_catch_it()
    {
        var server = await StartAsync(Stubborn, options: Unloads);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r.Status == RunStatus.Waiting && r.Owner is null, "is unloaded");

        await server.Runs.CancelAsync(run, "me", null, default);

        await server.UntilAsync(run, RunStatus.Cancelled);
        Assert.Empty(Executed);
    }

    [Fact]
    public async Task A_run_that_waits_can_be_paused_and_resumed()
    {
        var server = await StartAsync(Stubborn);
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);

        await server.Runs.PauseAsync(run, "me", null, default);
        await server.UntilAsync(run, r => r.Status == RunStatus.Paused && r.Owner is null, "is paused");
        await SignalAsync(server, run, "go", "1");
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        Assert.Equal("out", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Empty(Executed);
    }

    private async Task<string> Stubborn(IRunContext context)
    {
        try
        {
            await context.WaitForSignalAsync("go");
        }
        catch (Exception)
        {
            Executed.Enqueue("caught");
        }

        return "out";
    }

    private static async Task<string> Sleeper(IRunContext context)
    {
        var before = context.Now;
        await context.SleepAsync(TimeSpan.FromSeconds(2));
        return (context.Now - before).TotalSeconds.ToString("0", System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>What a person saw is what counts: a yes to another question under the same key is none.</summary>
    [Fact]
    public async Task A_decision_that_was_made_on_another_question_does_not_count()
    {
        var server = await StartAsync(Asker(new ApprovalOptions { Arguments = "rm -r build" }));
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        var request = (await server.JournalAsync(run)).Last(e => e.Kind == EntryKind.ApprovalRequested);
        var seen = JournalJson.Read<EntryBody.ApprovalRequested>(request.Body).Binding;

        foreach (var (id, yes, binding) in new[] { ("other", true, "another"), ("this", false, seen) })
        {
            await server.Store.PostAsync(new NewInput(run, id, InputKind.Approval, JournalJson.Write(new InputBody.Approval(request.Key!, yes, "ann", null, binding))), default);
            server.Wake(run);
        }

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.False(JournalJson.Read<EntryBody.ApprovalDecided>((await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.ApprovalDecided).Body).Approved);
    }

    /// <summary>A branch beside the question writes files while a person thinks: what they saw is not what is there.</summary>
    [Fact]
    public async Task A_yes_about_files_that_have_changed_since_is_asked_for_again_and_a_no_is_not()
    {
        foreach (var last in new[] { true, false })
        {
            var server = await StartAsync(async context =>
            {
                var asked = context.ApproveAsync("may I?");
                await context.WaitForSignalAsync("write");
                await ((RunContext)context).ToolAsync(new StepKey(StepHash.Of("a tool")), new StepSubject(StepKind.Tool, "files", "", null, null),
                    (_, _) => Task.FromResult<StepAttempt>(new StepAttempt.Done("{}"u8.ToArray(), WorkspaceRoot: "another")));
                return $"{(await asked).Approved}";
            });
            var run = await server.CreateAsync(Manifest);
            await server.UntilAsync(run, RunStatus.Waiting);
            await SignalAsync(server, run, "write", "0");
            await server.UntilAsync(run, r => r is { Status: RunStatus.Waiting, Summary.Steps: 1 }, "has written");

            if (last)
            {
                await DecideAsync(server, run, true, "ann");
                await server.UntilAsync(run, _ => server.KindsAsync(run).Result.Count(k => k == EntryKind.ApprovalRequested) == 2, "asks again");
            }

            await DecideAsync(server, run, last, "ann");

            Assert.Equal($"{last}", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
            var journal = await server.JournalAsync(run);
            Assert.Equal(last ? 2 : 1, journal.Where(e => e.Kind == EntryKind.ApprovalRequested).Select(e => JournalJson.Read<EntryBody.ApprovalRequested>(e.Body).Binding).Distinct().Count());
            Assert.Single(journal, e => e.Kind == EntryKind.ApprovalDecided);
            Assert.All((await server.Operations.VerifyAsync(run, default))!.Findings, f => Assert.Equal("blob_missing", f.Code));
            await server.StopHardAsync();
        }
    }

    [Fact]
    public async Task A_recorded_yes_does_not_fit_other_arguments()
    {
        Func<string, Func<IRunContext, Task<string>>> agent = arguments => async context =>
        {
            var decision = await context.ApproveAsync("may I?", new ApprovalOptions { Arguments = arguments });
            await context.WaitForSignalAsync("end");
            return $"{decision.Approved} {arguments}";
        };
        var server = await StartAsync(agent("rm -r build"));
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);
        Assert.IsType<Core.Operations.OperationOutcome.Accepted>(await server.Operations.DecideAsync(run, new DecisionRequest(true, null, "ann", null), default));
        await server.UntilAsync(run, r => r.Waiting == WaitReason.Signal, "waits for its end");
        await server.StopHardAsync();

        var next = await StartAsync(agent("rm -r /"));

        Assert.Equal(PauseCause.Drift, (await next.UntilAsync(run, RunStatus.Paused)).Paused);
    }

    [Theory]
    [InlineData("")]
    [InlineData("run:")]
    public async Task A_run_does_not_decide_on_its_own_approvals(string prefix)
    {
        var server = await StartAsync(Asker(new ApprovalOptions()));
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Waiting);

        var refused = Assert.IsType<Core.Operations.OperationOutcome.Refused>(await server.Operations.DecideAsync(run, new DecisionRequest(true, null, prefix + run, null), default));

        Assert.Equal(ErrorCodes.NotAllowed, refused.Failure.Code);
        Assert.Empty(await server.Store.ReadInboxAsync(run, 10, default));
    }

    private static Func<IRunContext, Task<string>> Asker(ApprovalOptions options) => async context =>
    {
        var decision = await context.ApproveAsync("may I?", options);
        return $"{decision.Approved} {string.Join("+", decision.By)} {decision.Expired}";
    };

    private static async Task SignalAsync(TestServer server, RunId run, string name, string json) =>
        Assert.IsType<Core.Operations.OperationOutcome.Accepted>(await server.Operations.SignalAsync(run, name, System.Text.Encoding.UTF8.GetBytes(json), null, "me", default));

    private static async Task DecideAsync(TestServer server, RunId run, bool yes, string by)
    {
        var key = JournalKey(await server.JournalAsync(run));
        await server.Store.PostAsync(new NewInput(run, new Core.SystemIds(TimeProvider.System).NextRandom().ToString("N"), InputKind.Approval, JournalJson.Write(new InputBody.Approval(key, yes, by, null))), default);
        server.Sweep(run);
    }

    private static string JournalKey(IReadOnlyList<JournalEntry> journal) => journal.Last(e => e.Kind == EntryKind.ApprovalRequested).Key!;

    private static FakeTimeProvider Clock() => new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddTicks(1234));
}
