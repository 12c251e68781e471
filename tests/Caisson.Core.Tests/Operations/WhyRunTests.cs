using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Operations;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

public sealed class WhyRunTests
{
    private static readonly DateTimeOffset Now = TestJournal.Start.AddMinutes(2);
    private static readonly string Id = TestJournal.Run.ToString();

    [Fact]
    public void A_ready_run_waits_for_a_server()
    {
        var why = Explain(TestJournal.Begin(), RunStatus.Ready);

        Assert.Equal("was let go by its server and waits for the next one", why.Doing);
        Assert.Contains("sweep", why.Wakes, StringComparison.Ordinal);
        AssertOffers(why, $"caisson cancel {Id}", $"caisson pause {Id}");
    }

    [Fact]
    public void A_run_with_a_time_to_come_says_when()
    {
        var why = Explain(TestJournal.Begin(), RunStatus.Ready, change: r => r with { DueAt = Now.AddMinutes(10) });

        Assert.Equal("its time, in 10m", why.Wakes);
    }

    [Fact]
    public void A_running_run_says_what_it_is_at_and_since_when()
    {
        var why = Explain(TestJournal.Begin().Completed("a").Asked("ok"), RunStatus.Running, summary: new RunSummary { CurrentStep = "tool shell", Steps = 1 });

        Assert.Equal("is at work: tool shell", why.Doing);
        Assert.Equal(TestJournal.Start.AddSeconds(2), why.Since);
        Assert.Contains(why.Facts, f => f.Contains("its last entry is 4, ApprovalRequested", StringComparison.Ordinal));
        Assert.Contains(why.Facts, f => f.Contains("approval ok is open: may I?", StringComparison.Ordinal));
        AssertOffers(why, $"caisson logs {Id} -f");
    }

    [Fact]
    public void An_input_that_nobody_has_taken_is_told()
    {
        var why = Explain(TestJournal.Begin(), RunStatus.Running, inbox: [new InboxInput(1, "i", InputKind.Pause, default, Now.AddSeconds(-3))]);

        Assert.Contains("a pause was recorded 3s ago and its owner takes it up next", why.Facts);
    }

    [Fact]
    public void Every_kind_of_input_has_a_name()
    {
        foreach (var kind in Enum.GetValues<InputKind>().Where(k => k != InputKind.Wake))
        {
            var why = Explain(TestJournal.Begin(), RunStatus.Running, inbox: [new InboxInput(1, "i", kind, default, Now)]);
            Assert.DoesNotContain(why.Facts, f => f.StartsWith("a wake-up", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_retry_says_what_failed_and_when_it_is_tried_again()
    {
        var why = Explain(TestJournal.Begin().Failed("fetch", 3), RunStatus.Waiting, WaitReason.Retry, change: r => r with { DueAt = Now.AddSeconds(30) });

        Assert.Equal("waits before it tries named step 'fetch' again: attempt 3 failed", why.Doing);
        Assert.Contains("broken: not now", why.Facts);
        Assert.EndsWith("in 30s", why.Wakes, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wait_for_a_signal_names_the_command_that_sends_one()
    {
        var why = Explain(TestJournal.Begin(), RunStatus.Waiting, WaitReason.Signal, summary: new RunSummary { Detail = "waits for signal 'go'" });

        AssertOffers(why, $"caisson signal {Id} NAME --data JSON");
        Assert.Contains("waits for signal 'go'", why.Facts);
        Assert.Equal("the signal", why.Wakes);
    }

    [Fact]
    public void A_sleep_says_until_when()
    {
        var why = Explain(TestJournal.Begin().TimerSet("nap", 600), RunStatus.Waiting, WaitReason.Timer, change: r => r with { DueAt = TestJournal.Start.AddSeconds(600) });

        Assert.Equal(("sleeps", TestJournal.Start.AddSeconds(3)), (why.Doing, why.Since));
        Assert.EndsWith("in 8m", why.Wakes, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wait_for_a_child_leads_to_the_child()
    {
        var why = Explain(TestJournal.Begin().Spawned("c1").Spawned("c2").ChildEnded("c1"), RunStatus.Waiting, WaitReason.Child);

        AssertOffers(why, "caisson why c2");
        Assert.DoesNotContain(why.Next, n => n.Command == "caisson why c1");
    }

    [Fact]
    public void A_wait_for_a_decision_has_the_question_and_both_answers()
    {
        var why = Explain(TestJournal.Begin().Asked("0123456789abcdef", "delete it?", Now.AddMinutes(1), approvers: 2), RunStatus.Waiting, WaitReason.Approval);

        Assert.Equal("waits for a person's decision: delete it?", why.Doing);
        AssertOffers(why, $"caisson approve {Id} 0123456789ab", $"caisson deny {Id} 0123456789ab");
        Assert.Contains("which counts as no", why.Wakes, StringComparison.Ordinal);
        Assert.Contains("approval 0123456789ab needs 2 different people", why.Facts);
    }

    [Fact]
    public void A_wait_for_a_sandbox_leads_to_the_doctor() =>
        AssertOffers(Explain(TestJournal.Begin(), RunStatus.Waiting, WaitReason.Sandbox), "caisson doctor");

    public static TheoryData<PauseCause, string> Remedies => new()
    {
        { PauseCause.Operator, $"caisson resume {Id}" },
        { PauseCause.RetryExhausted, $"caisson retry {Id}" },
        { PauseCause.Drift, $"caisson retry {Id}" },
        { PauseCause.Budget, $"caisson resume {Id} --max-steps 3" },
        { PauseCause.Loop, $"caisson resume {Id} --loop-repeats N" },
        { PauseCause.Corrupt, $"caisson journal {Id} --verify" },
        { PauseCause.Poison, $"caisson bundle {Id} -o 0194f2c8-000.json" },
        { PauseCause.Version, $"caisson fork {Id} --at 3" },
        { PauseCause.Restored, $"caisson retry {Id}" },
        { PauseCause.Unknown, $"caisson resolve {Id} pay --not-done" },
    };

    [Theory]
    [MemberData(nameof(Remedies))]
    public void Each_pause_has_its_cause_and_its_remedy(PauseCause cause, string command)
    {
        var journal = TestJournal.Begin().Completed("a").Failed("b");
        if (cause == PauseCause.Unknown)
            journal.Unknown("pay");
        var why = Explain(journal.Paused(cause), RunStatus.Paused, paused: cause, summary: new RunSummary { Steps = 2, LimitAt = LimitDimension.Steps, LimitNeeds = 3 });

        AssertOffers(why, command, $"caisson cancel {Id}");
        Assert.StartsWith("stands paused", why.Doing, StringComparison.Ordinal);
        Assert.NotEqual("stands paused", why.Doing);
        Assert.Null(why.Wakes);
        Assert.Equal(journal.Entries[^1].At, why.Since);
        Assert.DoesNotContain(why.Next, n => n.Command.StartsWith("caisson pause", StringComparison.Ordinal));
    }

    [Fact]
    public void Every_cause_is_covered() =>
        Assert.Equal(Enum.GetValues<PauseCause>().Where(c => c != PauseCause.None), Remedies.Select(row => row.Data.Item1).Order());

    [Fact]
    public void A_run_whose_unknown_steps_are_resolved_only_needs_a_retry()
    {
        var why = Explain(TestJournal.Begin().Unknown("pay").Paused(PauseCause.Unknown).Resolved("pay", "set"), RunStatus.Paused, paused: PauseCause.Unknown);

        AssertOffers(why, $"caisson retry {Id}");
        Assert.DoesNotContain(why.Next, n => n.Command.Contains("resolve", StringComparison.Ordinal));
    }

    [Fact]
    public void A_question_that_is_open_while_the_run_is_paused_leads_to_its_answers()
    {
        var journal = TestJournal.Begin().Add(new EntryBody.ApprovalRequested("raise it?", "b", null, 1), key: "limit-0123456789").Paused(PauseCause.Budget);

        var why = Explain(journal, RunStatus.Paused, paused: PauseCause.Budget, summary: new RunSummary { LimitAt = LimitDimension.Steps, LimitNeeds = 5 });

        AssertOffers(why, $"caisson approve {Id} limit-012345", $"caisson deny {Id} limit-012345");
    }

    [Fact]
    public void A_limit_above_the_run_is_raised_there()
    {
        var journal = TestJournal.Begin().Add(new EntryBody.LimitHit("tenant:default", LimitDimension.NanoUsd, 2_000_000_000, 2_000_000_000, 0, 1)).Paused(PauseCause.Budget);

        var why = Explain(journal, RunStatus.Paused, paused: PauseCause.Budget, summary: new RunSummary { LimitAt = LimitDimension.NanoUsd, LimitNeeds = 5 });

        AssertOffers(why, "caisson budget set tenant:default --usd N", $"caisson resume {Id}");
        Assert.Contains(why.Next, n => n.Effect == "raises it; it is 2.00");
    }

    [Fact]
    public void Money_that_is_needed_is_named_as_money()
    {
        var journal = TestJournal.Begin().Add(new EntryBody.LimitHit($"run:{Id}", LimitDimension.NanoUsd, 10, 10, 0, 1)).Paused(PauseCause.Budget);

        var why = Explain(journal, RunStatus.Paused, paused: PauseCause.Budget, summary: new RunSummary { LimitAt = LimitDimension.NanoUsd, LimitNeeds = 1_500_000_000 });

        AssertOffers(why, $"caisson resume {Id} --budget-usd 1.50");
    }

    [Fact]
    public void An_ended_run_says_how_and_what_is_left_to_do()
    {
        var failed = Explain(TestJournal.Begin().Completed("a").Ended(RunStatus.Failed), RunStatus.Failed, summary: new RunSummary { Failure = new Failure("internal", "oops") });
        var done = Explain(TestJournal.Begin().Ended(), RunStatus.Completed);

        Assert.Equal("has failed: internal: oops", failed.Doing);
        AssertOffers(failed, $"caisson trace {Id}", $"caisson fork {Id} --at 3");
        AssertOffers(done, $"caisson get {Id}");
        Assert.DoesNotContain(done.Next, n => n.Command.StartsWith("caisson cancel", StringComparison.Ordinal));
        Assert.Equal((null, null), (failed.Wakes, done.Wakes));
    }

    [Fact]
    public void Crashes_and_entries_that_cannot_be_read_are_told()
    {
        var work = new OpenWork();
        foreach (var entry in TestJournal.Begin().Asked("a").Entries)
            work.Add(entry.Key == "a" ? entry with { Body = "?"u8.ToArray() } : entry);
        var row = TestJournal.Begin().Row() with { Suspicion = 2, LoneCrashes = 1 };

        var why = WhyRun.Explain(row, work, [], Now);

        Assert.Contains("the server died 2 times while this run was at work, once with no other at work", why.Facts);
        AssertOffers(why, $"caisson journal {Id} --verify");
    }

    private static void AssertOffers(WhyView why, params string[] commands) =>
        Assert.All(commands, command => Assert.Contains(command, why.Next.Select(n => n.Command)));

    private static WhyView Explain(
        TestJournal journal, RunStatus status, WaitReason waiting = WaitReason.None, PauseCause paused = PauseCause.None, RunSummary? summary = null,
        IReadOnlyList<InboxInput>? inbox = null, Func<RunRecord, RunRecord>? change = null)
    {
        var row = journal.Row(status, waiting, paused, summary);
        return WhyRun.Explain(change is null ? row : change(row), journal.Work, inbox ?? [], Now);
    }
}
