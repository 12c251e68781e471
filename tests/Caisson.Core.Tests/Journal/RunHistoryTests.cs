using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Tests.Journal;

public sealed class RunHistoryTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(55);

    [Fact]
    public void Creation_is_remembered()
    {
        var history = Read(Created());

        Assert.Equal("hello", history.Created?.Input);
        Assert.Equal(Start, history.CreatedAt);
        Assert.Equal(1, history.LastSeq);
        Assert.False(history.Replaying);
    }

    /// <summary>Owners' clocks differ: a replay that begins at a snapshot must not see an earlier time than the agent saw there.</summary>
    [Fact]
    public void The_time_of_a_snapshot_is_that_of_the_latest_answer_before_it()
    {
        var saved = Entry(3, EntryKind.Snapshot, new EntryBody.Snapshot(new Dictionary<string, int>(), [])) with { Key = "s", At = Start.AddSeconds(-9) };
        var history = Read(Created(), Completed(2, "b", Named("work")) with { At = Start.AddSeconds(7) }, saved);

        Assert.Equal(Start.AddSeconds(7), history.SavedAt);
    }

    /// <summary>It was journaled while the agent asked for the snapshot, which therefore does not name it.</summary>
    [Fact]
    public void A_signal_that_a_snapshot_came_too_early_for_is_kept()
    {
        var signals = new[] { 2L, 3, 4 }.Select(seq => Entry(seq, EntryKind.SignalConsumed, new EntryBody.SignalConsumed($"i{seq}", "go", "1", "me")));
        var saved = Entry(5, EntryKind.Snapshot, new EntryBody.Snapshot(new Dictionary<string, int>(), [2]) { Seen = 3 }) with { Key = "s" };
        var history = Read([Created(), .. signals, saved]);

        Assert.Equal([2L, 4], history.Arrivals.Select(a => a.Seq));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(99)]
    public void A_gap_or_a_repeat_in_the_journal_is_refused(long seq)
    {
        var history = Read(Created());

        var refused = Assert.Throws<CaissonException>(() => history.Add(Entry(seq, EntryKind.CancelRequested, new EntryBody.CancelRequested("me", null))));

        Assert.Equal(ErrorCodes.DatabaseCorrupt, refused.Code);
        Assert.Contains($"from entry 1 to entry {seq}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_completed_twice_is_refused()
    {
        var refused = Assert.Throws<CaissonException>(() => Read(Created(), Completed(2, "k", Tool("shell")), Completed(3, "k", Tool("shell"))));

        Assert.Equal(ErrorCodes.DatabaseCorrupt, refused.Code);
        Assert.Contains("entries 2 and 3", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_completion_without_a_key_and_a_body_that_is_not_json_are_refused()
    {
        var keyless = Completed(2, "k", Tool("shell")) with { Key = null };
        var garbled = Completed(2, "k", Tool("shell")) with { Body = "{\"step\":"u8.ToArray() };

        Assert.Equal(ErrorCodes.DatabaseCorrupt, Assert.Throws<CaissonException>(() => Read(Created(), keyless)).Code);
        Assert.Equal(ErrorCodes.DatabaseCorrupt, Assert.Throws<CaissonException>(() => Read(Created(), garbled)).Code);
    }

    [Fact]
    public void Answers_come_in_the_order_of_the_journal_with_what_they_brought()
    {
        var failure = new Failure(ErrorCodes.StepTimeout, "late");
        var history = Read(Created(), Completed(2, "b", Named("work"), result: "42"), Completed(3, "a", Tool("shell"), failure: failure));

        Assert.True(history.Replaying);
        var first = history.Arrivals.Dequeue();
        var second = history.Arrivals.Dequeue();

        Assert.Equal((2L, Slots.Step("b"), "42"), (first.Seq, first.Slot, System.Text.Encoding.UTF8.GetString(first.Payload.Span)));
        Assert.Equal(failure, StepJson.Match(second, Call("a", Tool("shell"))).Record!.Failure);
        Assert.False(history.Replaying);
    }

    public static TheoryData<string, StepSubject> OtherSubjects => new()
    {
        { "kind", new StepSubject(StepKind.Named, "shell", "args", "call_0", null) },
        { "name", new StepSubject(StepKind.Tool, "files", "args", "call_0", null) },
        { "arguments", new StepSubject(StepKind.Tool, "shell", "other", "call_0", null) },
        { "call id", new StepSubject(StepKind.Tool, "shell", "args", "call_1", null) },
    };

    [Theory]
    [MemberData(nameof(OtherSubjects))]
    public void A_record_of_another_subject_is_drift(string what, StepSubject asked)
    {
        var history = Read(Created(), Completed(2, "k", new StepSubject(StepKind.Tool, "shell", "args", "call_0", "ls")));

        var (record, drift) = StepJson.Match(history.Arrivals.Dequeue(), Call("k", asked));

        Assert.True(record is null && drift!.Seq == 2 && drift.Recorded != drift.Asked, $"{what}: {drift}");
    }

    [Fact]
    public void What_is_only_for_people_is_no_drift()
    {
        var history = Read(Created(), Completed(2, "k", new StepSubject(StepKind.Tool, "shell", "args", "call_0", "ls -l")));

        Assert.NotNull(StepJson.Match(history.Arrivals.Dequeue(), Call("k", new StepSubject(StepKind.Tool, "shell", "args", "call_0", "something else"))).Record);
    }

    [Fact]
    public void Attempts_go_on_where_the_journal_stopped()
    {
        var history = Read(Created(), Failed(2, "k", 1), Failed(3, "k", 2), Started(4, "k", 3));

        Assert.Equal(3, history.Attempts(new StepKey("k")));
        Assert.Equal(0, history.Attempts(new StepKey("other")));
    }

    [Fact]
    public void Raised_limits_fold_and_the_last_one_counts()
    {
        var history = Read(Created(),
            Entry(2, EntryKind.LimitRaised, new EntryBody.LimitRaised(new RaisedLimits(NanoUsd: 1, Steps: 10), "me")),
            Entry(3, EntryKind.LimitRaised, new EntryBody.LimitRaised(new RaisedLimits(Steps: 20, Deadline: TimeSpan.FromHours(1)), "me")));
        history.Raise(new RaisedLimits(Tokens: 5));

        Assert.Equal(new RaisedLimits(NanoUsd: 1, Tokens: 5, Steps: 20, Deadline: TimeSpan.FromHours(1)), history.Raised);
    }

    [Fact]
    public void Only_a_resume_after_a_loop_pause_resets_the_loop_guard()
    {
        var history = Read(Created(),
            Entry(2, EntryKind.Paused, new EntryBody.Paused(PauseCause.Loop, "loop")), Entry(3, EntryKind.Resumed, new EntryBody.Resumed("me")),
            Entry(4, EntryKind.Paused, new EntryBody.Paused(PauseCause.Operator, "me")), Entry(5, EntryKind.Resumed, new EntryBody.Resumed("me")),
            Entry(6, EntryKind.Paused, new EntryBody.Paused(PauseCause.Loop, "loop")), Entry(7, EntryKind.Resumed, new EntryBody.Resumed("me")));

        Assert.Equal([3L, 7L], history.LoopResets);
    }

    [Fact]
    public void Figures_and_the_workspace_follow_the_completions()
    {
        var history = Read(Created(),
            Completed(2, "m", Model("x"), usage: new Usage(7, 100, 20)),
            Completed(3, "t1", Tool("shell"), workspace: "root1"),
            Completed(4, "t2", Tool("files")),
            Completed(5, "m2", Model("x"), usage: new Usage(7, 50, 5)));

        Assert.Equal((4L, 2L, 150L, 25L), (history.Steps, history.ToolCalls, history.InputTokens, history.OutputTokens));
        Assert.Equal("root1", history.WorkspaceRoot);
        Assert.True(history.HadBox);
        Assert.False(Read(Created(), Completed(2, "m", Model("x"))).HadBox);
    }

    [Fact]
    public void Cancel_and_end_are_seen()
    {
        var history = Read(Created(), Entry(2, EntryKind.CancelRequested, new EntryBody.CancelRequested("me", null)));
        Assert.True(history.CancelRequested);
        Assert.False(history.Ended);

        history.Add(Entry(3, EntryKind.RunEnded, new EntryBody.RunEnded(RunStatus.Cancelled, null, null)));
        Assert.True(history.Ended);
    }

    private static StepCall Call(string key, StepSubject subject) => new(new StepKey(key), subject, "");

    private static RunHistory Read(params JournalEntry[] entries)
    {
        var history = new RunHistory();
        foreach (var entry in entries)
            history.Add(entry);
        return history;
    }

    private static StepSubject Model(string name) => new(StepKind.Model, name, "args", null, null);

    private static StepSubject Tool(string name) => new(StepKind.Tool, name, "args", "call_0", null);

    private static StepSubject Named(string name) => new(StepKind.Named, name, "args", null, null);

    private static JournalEntry Created() =>
        Entry(1, EntryKind.RunCreated, new EntryBody.RunCreated(new AgentManifest { Name = "a", Code = "a" }, "hash", "hello", "0.1.0", new Dictionary<string, string>()));

    private static JournalEntry Completed(long seq, string key, StepSubject subject, string result = "{}", Failure? failure = null, string? workspace = null, Usage? usage = null) =>
        Entry(seq, EntryKind.StepCompleted, new EntryBody.StepCompleted(subject, usage, 5, failure, workspace)) with
        {
            Key = key,
            Attempt = 1,
            Payload = System.Text.Encoding.UTF8.GetBytes(result),
        };

    private static JournalEntry Failed(long seq, string key, int attempt) =>
        Entry(seq, EntryKind.StepFailed, new EntryBody.StepFailed(Named("work"), new Failure("x", "y", true), HoldFate.Release, Start)) with { Key = key, Attempt = attempt };

    private static JournalEntry Started(long seq, string key, int attempt) =>
        Entry(seq, EntryKind.StepStarted, new EntryBody.StepStarted(Named("work"), new Hold(1, 1))) with { Key = key, Attempt = attempt };

    private static JournalEntry Entry(long seq, EntryKind kind, EntryBody body) =>
        new(seq, 1, Start, kind, "", null, 0, EntryBodies.Write(body), null, null);
}
