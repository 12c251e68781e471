using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Stores;
using Caisson.Core.Verification;

namespace Caisson.Core.Tests.Operations;

public sealed class ForkPlanTests
{
    private static readonly RunId Fork = RunId.Parse("0194f2c8-0000-7000-8000-00000000000f");

    private static readonly TestJournal Parent = TestJournal.Begin(TestJournal.Code with { Limits = new LimitSettings { Steps = 50, NanoUsd = 1_000_000_000 }, Workspace = new WorkspaceSettings(["out.txt"]) })
        .Started("m1", step: TestJournal.Model("x"))                                        // 3
        .Completed("m1", 1, TestJournal.Model("x"), new Usage(7, 100, 20), blob: "blob-m1")  // 4
        .Completed("t1", 1, TestJournal.Tool("shell"), workspace: "root1", result: "\"ran\"") // 5
        .Paused(PauseCause.Operator)                                                        // 6
        .Claim("input")                                                                     // 7
        .Resumed()                                                                          // 8
        .Spawned("done-child")                                                              // 9
        .Spawned("live-child")                                                              // 10
        .ChildEnded("done-child")                                                           // 11
        .Signal("i1")                                                                       // 12
        .TimerSet("nap")                                                                    // 13
        .TimerFired("nap")                                                                  // 14
        .Asked("ok")                                                                        // 15
        .Decided("ok")                                                                      // 16
        .Started("pay", 1, EffectClass.AtMostOnce)                                          // 17
        .Completed("t2", 1, TestJournal.Tool("shell"), workspace: "root2")                  // 18
        .Failed("late")                                                                     // 19
        .ChildEnded("live-child")                                                           // 20
        .Add(new EntryBody.CancelRequested("me", null))                                     // 21
        .Ended(RunStatus.Cancelled);                                                        // 22

    [Fact]
    public void By_default_a_fork_begins_after_the_last_result_and_leaves_the_parent_s_own_life_behind()
    {
        var plan = Plan();

        Assert.Equal(20, plan.Seq);
        Assert.Equal(
            [EntryKind.StepStarted, EntryKind.StepCompleted, EntryKind.StepCompleted, EntryKind.ChildSpawned, EntryKind.ChildSpawned, EntryKind.ChildEnded, EntryKind.SignalConsumed,
                EntryKind.TimerSet, EntryKind.TimerFired, EntryKind.ApprovalRequested, EntryKind.ApprovalDecided, EntryKind.StepStarted, EntryKind.StepCompleted, EntryKind.StepFailed, EntryKind.ChildEnded],
            plan.Copies.Select(c => c.Kind));
    }

    [Fact]
    public void A_child_that_still_ran_at_that_place_is_left_to_the_parent()
    {
        var plan = Plan(at: 18);

        var spawned = Assert.Single(plan.Copies, c => c.Kind == EntryKind.ChildSpawned);
        Assert.Equal("spawn-done-child", spawned.Key);
    }

    [Fact]
    public void A_step_that_was_open_at_that_place_stays_open()
    {
        var plan = Plan(at: 18);

        var open = Assert.Single(plan.Copies, c => c.Key == "pay");
        Assert.Equal(EntryKind.StepStarted, open.Kind);
    }

    [Fact]
    public void Copies_are_the_entries_themselves_with_their_time()
    {
        var plan = Plan(at: 5);

        var (original, copy) = (Parent.Entries[4], plan.Copies[^1]);
        Assert.Equal((original.Kind, original.Scope, original.Key, original.Attempt, original.Blob, original.At), (copy.Kind, copy.Scope, copy.Key, copy.Attempt, copy.Blob, copy.At));
        Assert.Equal(original.Body.ToArray(), copy.Body.ToArray());
        Assert.Equal("\"ran\"", Encoding.UTF8.GetString(copy.Payload!.Value.Span));
        Assert.Equal("blob-m1", plan.Copies[1].Blob);
    }

    [Fact]
    public void The_fork_names_where_it_comes_from_and_carries_the_parent_s_request()
    {
        var plan = Plan(at: 5);

        Assert.Equal((TestJournal.Run.ToString(), 5L, Fork.ToString(), ForkEffects.Live), (plan.From.Parent, plan.From.Seq, plan.From.Lineage, plan.From.Effects));
        Assert.Equal(TestJournal.Start.AddSeconds(1), plan.CreatedAt);
        Assert.Equal(("hello", "agent", "hash", EngineVersion.Text), (plan.Created.Input, plan.Created.Manifest.Name, plan.Created.ManifestHash, plan.Created.Engine));
        Assert.Equal("blue", plan.Created.Labels["team"]);
    }

    [Fact]
    public void The_summary_counts_what_came_along()
    {
        var (early, late) = (Plan(at: 4).Summary, Plan(at: 18).Summary);

        Assert.Equal((1L, 0L, 100L, 20L, null), (early.Steps, early.ToolCalls, early.InputTokens, early.OutputTokens, early.WorkspaceRoot));
        Assert.Equal((3L, 2L, 100L, 20L, "root2"), (late.Steps, late.ToolCalls, late.InputTokens, late.OutputTokens, late.WorkspaceRoot));
        Assert.Equal(["out.txt"], late.Artifacts);
        Assert.Equal("blue", late.Labels["team"]);
    }

    [Fact]
    public void Blobs_and_the_last_workspace_must_be_there()
    {
        Assert.Equal(["blob-m1"], Plan(at: 4).Blobs);
        Assert.Equal(["blob-m1", "root2"], Plan(at: 18).Blobs);
    }

    /// <summary>Files of a step that the parent let go; the very tree that it kept is there.</summary>
    [Theory]
    [InlineData(WorkspaceKeep.None, null, 5)]
    [InlineData(WorkspaceKeep.Artifacts, "kept", 5)]
    [InlineData(WorkspaceKeep.Artifacts, "root1", 18)]
    public void A_fork_does_not_begin_with_files_that_its_parent_let_go(WorkspaceKeep keep, string? root, long gone)
    {
        var row = Parent.Row(RunStatus.Cancelled, summary: new RunSummary { Kept = keep, WorkspaceRoot = root });
        var last = gone == 5 ? 4 : 16;
        ReadEntry[] entries = [.. Parent.Entries.Select(e => new ReadEntry(e, e.Body))];

        var refused = Assert.IsType<ForkPlanOutcome.Refused>(ForkPlan.Make(row, entries, Spec(), Fork)).Failure;

        Assert.Equal(ErrorCodes.BlobMissing, refused.Code);
        Assert.EndsWith(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"those of entry {gone}: the last place that needs none is {last}"), refused.Message, StringComparison.Ordinal);
        Assert.IsType<ForkPlanOutcome.Planned>(ForkPlan.Make(row, entries, Spec() with { At = last }, Fork));
    }

    [Fact]
    public void A_fork_s_journal_is_a_good_journal_and_can_be_forked_again()
    {
        var plan = Plan(at: 18);
        var journal = AsJournal(plan);
        var row = Parent.Row(RunStatus.Ready, summary: plan.Summary) with { Id = TestJournal.Run, Epoch = 0, LastSeq = journal.Count };

        var verifier = new JournalVerifier(TestJournal.Run);
        foreach (var entry in journal)
            verifier.Add(entry, entry.Body);
        verifier.Finish(row);
        Assert.Equal([], verifier.Found.Items);

        var again = Assert.IsType<ForkPlanOutcome.Planned>(ForkPlan.Make(row, [.. journal.Select(e => new ReadEntry(e, e.Body))], Spec(), Fork)).Plan;
        Assert.Equal(plan.Copies.Select(c => (c.Kind, c.Key)), again.Copies.Select(c => (c.Kind, c.Key)));
        Assert.Equal(plan.Summary, again.Summary, SameFigures);
    }

    [Fact]
    public void At_its_first_entry_a_run_starts_over()
    {
        var plan = Plan(at: 1, input: "other");

        Assert.Empty(plan.Copies);
        Assert.Equal((0L, "other"), (plan.Summary.Steps, plan.Created.Input));
    }

    [Theory]
    [InlineData(0, "allowed is 1 to 22")]
    [InlineData(23, "allowed is 1 to 22")]
    [InlineData(3, "a StepStarted")]
    [InlineData(8, "the place before it is 5")]
    [InlineData(22, "a RunEnded")]
    public void A_place_where_no_replay_can_stand_is_refused(long at, string says)
    {
        var failure = Refused(Spec(at));

        Assert.Equal(ErrorCodes.RequestInvalid, failure.Code);
        Assert.Contains(says, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Limits_may_be_lowered_and_not_lifted_without_the_admin()
    {
        Assert.Equal(10, Plan(limits: new RunOverrides(Steps: 10)).Created.Manifest.Limits.Steps);
        Assert.Equal(50, Plan(limits: new RunOverrides(Tokens: 5)).Created.Manifest.Limits.Steps);
        Assert.Equal(5, Plan(limits: new RunOverrides(Tokens: 5)).Created.Manifest.Limits.Tokens);

        var refused = Refused(Spec(limits: new RunOverrides(Steps: 51)));
        Assert.Equal(ErrorCodes.NotAllowed, refused.Code);
        Assert.Contains("steps", refused.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCodes.NotAllowed, Refused(Spec(limits: new RunOverrides(Usd: "1.01"))).Code);
        Assert.Equal(ErrorCodes.NotAllowed, Refused(Spec(limits: new RunOverrides(LoopRepeats: 9))).Code);
        Assert.Equal(ErrorCodes.RequestInvalid, Refused(Spec(limits: new RunOverrides(Usd: "much"))).Code);
        Assert.Equal(51, Plan(limits: new RunOverrides(Steps: 51), admin: true).Created.Manifest.Limits.Steps);
    }

    [Fact]
    public void A_raised_limit_of_the_parent_does_not_come_along()
    {
        var raised = TestJournal.Begin().Completed("a").Add(new EntryBody.LimitRaised(new RaisedLimits(Steps: 900), "me")).Completed("b");

        var plan = Plan(parent: raised);

        Assert.Equal(LimitSettings.DefaultSteps, plan.Created.Manifest.Limits.Steps);
        Assert.DoesNotContain(plan.Copies, c => c.Kind == EntryKind.LimitRaised);
    }

    [Fact]
    public void A_loop_agent_s_steps_do_not_fit_another_input()
    {
        var loop = TestJournal.Begin(new AgentManifest { Name = "agent", Loop = new LoopSettings("mock/x", "Answer.", []) }).Completed("m1", step: TestJournal.Model("x"));

        Assert.Equal(ErrorCodes.RequestInvalid, Refused(Spec(input: "other"), loop).Code);
        Assert.Equal("other", Plan(at: 1, input: "other", parent: loop).Created.Input);
        Assert.Equal("hello", Plan(input: "hello", parent: loop).Created.Input);
        Assert.Equal("other", Plan(input: "other").Created.Input);
    }

    [Fact]
    public void A_prefix_that_one_transaction_should_not_hold_is_refused()
    {
        var long_ = TestJournal.Begin();
        for (var i = 0; i < ForkPlan.MaxEntries; i++)
            long_.Completed($"k{i}");

        Assert.Equal(ErrorCodes.PayloadTooLarge, Refused(Spec(), long_).Code);
        Assert.Equal(ForkPlan.MaxEntries - 2, Plan(at: ForkPlan.MaxEntries, parent: long_).Copies.Count);
    }

    [Fact]
    public void Ids_and_chance_are_the_parent_s_as_far_as_the_copies_reach()
    {
        var plan = Plan(at: 5);
        Assert.Equal([new SeedSpan(TestJournal.Run.ToString(), 5)], plan.From.Seeds);
        Assert.Empty(Plan(at: 1).From.Seeds);

        // The fork, grown by a step of its own, forked once more after its second copy and after that step.
        var journal = TestJournal.Chain([.. AsJournal(plan), new JournalEntry(6, 1, TestJournal.Start, EntryKind.EpochClaimed, "", null, 0, EntryBodies.Write(new EntryBody.EpochClaimed("n", "start", [])), null, null),
            Parent.Entries[17] with { Seq = 7 }]);
        var row = Parent.Row() with { Id = Fork, LastSeq = 7 };
        IReadOnlyList<SeedSpan> Again(long at) =>
            Assert.IsType<ForkPlanOutcome.Planned>(ForkPlan.Make(row, [.. journal.Select(e => new ReadEntry(e, e.Body))], Spec(at), Fork)).Plan.From.Seeds;

        Assert.Equal([new SeedSpan(TestJournal.Run.ToString(), 4), new SeedSpan(Fork.ToString(), 4)], Again(4));
        Assert.Equal([new SeedSpan(TestJournal.Run.ToString(), 5), new SeedSpan(Fork.ToString(), 6)], Again(7));
    }

    [Fact]
    public void A_snapshot_s_signals_have_the_fork_s_numbers()
    {
        var journal = TestJournal.Begin().Signal("i1").Paused(PauseCause.Operator).Resumed().Signal("i2").Add(new EntryBody.Snapshot(new Dictionary<string, int> { ["x"] = 1 }, [3, 6]), "snap", result: "state");

        var plan = Plan(parent: journal);

        var snapshot = JournalJson.Read<EntryBody.Snapshot>(plan.Copies[^1].Body);
        Assert.Equal([3L, 4L], snapshot.Signals);
        Assert.Equal(1, snapshot.Occurrences["x"]);
    }

    [Fact]
    public void A_way_that_the_parent_left_is_left_behind()
    {
        var journal = TestJournal.Begin()
            .Completed("kept")                      // 3
            .Completed("again")                     // 4
            .Signal("i1")                           // 5
            .Asked("ok").Decided("ok")              // 6, 7
            .Asked("open")                          // 8
            .TimerSet("nap").TimerFired("nap")      // 9, 10
            .Spawned("c1").ChildEnded("c1")         // 11, 12
            .Claim("recovery")                      // 13
            .Add(new EntryBody.Drift(new DriftReport(4, "a", "b"), WentLive: true)) // 14
            .Completed("again")                     // 15
            .Asked("ok").Decided("ok")              // 16, 17
            .TimerFired("nap")                      // 18
            .Decided("open");                       // 19

        var plan = Plan(parent: journal);

        Assert.Equal(
            [(EntryKind.StepCompleted, "kept"), (EntryKind.SignalConsumed, null), (EntryKind.ApprovalRequested, "open"), (EntryKind.TimerSet, "nap"), (EntryKind.StepCompleted, "again"),
                (EntryKind.ApprovalRequested, "ok"), (EntryKind.ApprovalDecided, "ok"), (EntryKind.TimerFired, "nap"), (EntryKind.ApprovalDecided, "open")],
            plan.Copies.Select(c => (c.Kind, c.Key)));
        Assert.Equal(2, plan.Summary.Steps);
        Assert.Equal(["kept", "again"], Plan(at: 4, parent: journal).Copies.Select(c => c.Key));
    }

    [Fact]
    public void The_build_that_the_journal_was_last_found_to_fit_comes_along()
    {
        var journal = TestJournal.Begin().Completed("a").Add(new EntryBody.VersionAdopted("1", "2")).Completed("b");

        Assert.Equal("2", Plan(parent: journal).Created.Build);
        Assert.Null(Plan(at: 3, parent: journal).Created.Build);
    }

    private static readonly IEqualityComparer<RunSummary> SameFigures = EqualityComparer<RunSummary>.Create((a, b) =>
        (a!.Steps, a.ToolCalls, a.InputTokens, a.OutputTokens, a.WorkspaceRoot) == (b!.Steps, b.ToolCalls, b.InputTokens, b.OutputTokens, b.WorkspaceRoot));

    private static ForkSpec Spec(long? at = null, string? input = null, RunOverrides? limits = null, bool admin = false) => new(at, input, limits ?? new RunOverrides(), ForkEffects.Live, admin);

    private static ForkPlan Plan(long? at = null, string? input = null, RunOverrides? limits = null, bool admin = false, TestJournal? parent = null) =>
        ForkPlan.Make((parent ?? Parent).Row(), (parent ?? Parent).Read, Spec(at, input, limits, admin), Fork) switch
        {
            ForkPlanOutcome.Planned planned => planned.Plan,
            ForkPlanOutcome.Refused refused => throw new Xunit.Sdk.XunitException(refused.Failure.Message),
            _ => throw new InvalidOperationException(),
        };

    private static Failure Refused(ForkSpec spec, TestJournal? parent = null) =>
        Assert.IsType<ForkPlanOutcome.Refused>(ForkPlan.Make((parent ?? Parent).Row(), (parent ?? Parent).Read, spec, Fork)).Failure;

    /// <summary>As the store gives the drafts their places.</summary>
    private static IReadOnlyList<JournalEntry> AsJournal(ForkPlan plan)
    {
        JournalDraft[] drafts = [new(EntryKind.RunCreated, EntryBodies.Write(plan.Created)), new(EntryKind.ForkedFrom, EntryBodies.Write(plan.From)), .. plan.Copies];
        return TestJournal.Chain(drafts.Select((d, i) => new JournalEntry(i + 1, 0, d.At ?? TestJournal.Start, d.Kind, d.Scope, d.Key, d.Attempt, d.Body, d.Payload, d.Blob)));
    }
}
