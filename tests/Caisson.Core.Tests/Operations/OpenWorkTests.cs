using Caisson.Core.Journal;
using Caisson.Core.Operations;

namespace Caisson.Core.Tests.Operations;

public sealed class OpenWorkTests
{
    [Fact]
    public void An_approval_is_open_until_it_is_decided()
    {
        var journal = TestJournal.Begin().Asked("a").Asked("b", "and that?").Decided("a");

        var open = Assert.Single(OpenApprovals.Of(journal.Entries));
        Assert.Equal(("b", "and that?", 4L), (open.Key, open.Asked.Question, open.Seq));
        Assert.True(journal.Work.Approvals.Decided["a"].Approved);
        Assert.Empty(OpenApprovals.Of(journal.Decided("b").Entries));
    }

    [Fact]
    public void One_yes_of_two_leaves_it_open()
    {
        var journal = TestJournal.Begin().Asked("a", approvers: 2).Add(new EntryBody.ApprovalDecided(true, ["ann"], null, false, Partial: true), "a");

        Assert.Equal(["ann"], Assert.Single(OpenApprovals.Of(journal.Entries)).Yes);
        Assert.Empty(journal.Work.Approvals.Decided);
        Assert.Empty(OpenApprovals.Of(journal.Decided("a").Entries));
    }

    [Fact]
    public void Approvals_are_listed_in_the_order_of_asking_and_expire_by_the_clock()
    {
        var expires = TestJournal.Start.AddMinutes(5);
        var open = OpenApprovals.Of(TestJournal.Begin().Asked("z", expires: expires).Asked("a").Entries);

        Assert.Equal(["z", "a"], open.Select(a => a.Key));
        Assert.False(open[0].IsExpired(expires.AddTicks(-1)));
        Assert.True(open[0].IsExpired(expires));
        Assert.False(open[1].IsExpired(DateTimeOffset.MaxValue));
    }

    [Fact]
    public void A_step_of_unknown_outcome_is_open_until_something_settles_it()
    {
        var journal = TestJournal.Begin().Unknown("a").Unknown("b").Unknown("c").Unknown("d").Resolved("a", "set").Resolved("b", "not_done").Completed("c");

        Assert.Equal("d", Assert.Single(OpenUnknowns.Of(journal.Entries)).Key);
        Assert.Equal([("a", "set"), ("b", "not_done"), ("c", "completed")], journal.Work.Unknowns.Settled.OrderBy(s => s.Key).Select(s => (s.Key, s.Value)));
    }

    [Fact]
    public void A_step_that_was_let_run_again_may_become_unknown_again()
    {
        var journal = TestJournal.Begin().Unknown("a").Resolved("a", "not_done").Started("a", 2).Unknown("a");

        Assert.Equal(6, Assert.Single(OpenUnknowns.Of(journal.Entries)).Seq);
    }

    [Fact]
    public void Timers_and_children_are_open_until_they_end()
    {
        var work = TestJournal.Begin().TimerSet("late", 90).TimerSet("soon", 30).TimerSet("over").TimerFired("over").Spawned("c1").Spawned("c2").ChildEnded("c1").Work;

        Assert.Equal(["soon", "late"], work.Timers.Select(t => t.Key));
        Assert.Equal("c2", Assert.Single(work.Children).Child);
    }

    [Fact]
    public void A_failure_is_over_when_its_step_completes()
    {
        var journal = TestJournal.Begin().Failed("a").Failed("b");
        Assert.Equal("b", journal.Work.LastFailure?.Entry.Key);
        Assert.Null(journal.Completed("b").Work.LastFailure);
    }

    [Fact]
    public void What_cannot_be_read_is_passed_over_and_counted()
    {
        var journal = TestJournal.Begin().Asked("a").Asked("b");
        var work = new OpenWork();
        foreach (var entry in journal.Entries)
            work.Add(entry.Key == "a" ? entry with { Body = "{"u8.ToArray() } : entry);

        Assert.Equal("b", Assert.Single(work.Approvals.Items).Key);
        Assert.Equal(1, work.Unreadable);
    }
}
