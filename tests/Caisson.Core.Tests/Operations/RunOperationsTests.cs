using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Operations;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

public sealed class RunOperationsTests
{
    private readonly OperationsRig _rig = new();

    private RunOperations Operations => _rig.Operations;

    [Fact]
    public async Task A_signal_is_kept_as_it_was_sent()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Ready);

        Assert.Equal(new OperationOutcome.Accepted(), await Operations.SignalAsync(run, "go.on", """{"n":1.10,"x":"ä"}"""u8.ToArray(), null, "me", default));

        var (kind, json) = Assert.Single(await _rig.InboxAsync(run));
        Assert.Equal((InputKind.Signal, """{"name":"go.on","payload":"{\"n\":1.10,\"x\":\"ä\"}","by":"me"}"""), (kind, json));
    }

    [Fact]
    public async Task A_signal_with_an_id_counts_once()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Ready);

        Assert.Equal(new OperationOutcome.Accepted(), await Operations.SignalAsync(run, "go", default, "a", null, default));
        Assert.Equal(new OperationOutcome.Accepted(Existing: true), await Operations.SignalAsync(run, "go", "1"u8.ToArray(), "a", null, default));
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.SignalAsync(run, "go", default, "b", null, default));

        Assert.Equal(2, (await _rig.InboxAsync(run)).Count);
    }

    [Fact]
    public async Task A_caller_s_id_cannot_stand_in_the_way_of_the_engine_s_inputs()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Ready);
        await Operations.SignalAsync(run, "go", default, "child:1", null, default);

        Assert.IsType<PostOutcome.Posted>(await _rig.Store.PostAsync(new NewInput(run, "child:1", InputKind.ChildEnded, default), default));
    }

    public static TheoryData<string, string, string?, string> BadSignals => new()
    {
        { "", "1", null, ErrorCodes.RequestInvalid },
        { "..", "1", null, ErrorCodes.RequestInvalid },
        { "a/b", "1", null, ErrorCodes.RequestInvalid },
        { "grün", "1", null, ErrorCodes.RequestInvalid },
        { new string('n', 101), "1", null, ErrorCodes.RequestInvalid },
        { "go", "{", null, ErrorCodes.RequestInvalid },
        { "go", "1 2", null, ErrorCodes.RequestInvalid },
        { "go", "\"" + new string('x', 256 << 10) + "\"", null, ErrorCodes.PayloadTooLarge },
        { "go", "1", "", ErrorCodes.RequestInvalid },
        { "go", "1", new string('i', 201), ErrorCodes.RequestInvalid },
    };

    [Theory]
    [MemberData(nameof(BadSignals))]
    public async Task A_signal_that_is_not_well_formed_is_refused(string name, string data, string? id, string code)
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Ready);

        Assert.Equal(code, Refused(await Operations.SignalAsync(run, name, Encoding.UTF8.GetBytes(data), id, null, default)).Code);
        Assert.Empty(await _rig.InboxAsync(run));
    }

    [Fact]
    public async Task Data_that_is_not_UTF_8_is_refused()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Ready);

        Assert.Equal(ErrorCodes.RequestInvalid, Refused(await Operations.SignalAsync(run, "go", new byte[] { (byte)'"', 0xff, (byte)'"' }, null, null, default)).Code);
    }

    [Fact]
    public async Task An_ended_run_and_no_run_take_nothing()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Asked("a").Unknown("s").Ended(), RunStatus.Completed);
        var decision = new DecisionRequest(true);
        var resolve = new ResolveRequest("s", "done");
        var caps = new Dictionary<string, string> { ["steps"] = "9" };

        foreach (var ended in new[]
        {
            await Operations.SignalAsync(run, "go", default, null, null, default), await Operations.DecideAsync(run, decision, default), await Operations.ResolveAsync(run, resolve, default),
            await Operations.RetryAsync(run, null, default), await Operations.SetRunCapsAsync(run, caps, null, default),
        })
            Assert.Equal(ErrorCodes.RunEnded, Refused(ended).Code);

        var none = OperationsRig.Unknown;
        foreach (var missing in new[]
        {
            await Operations.SignalAsync(none, "go", default, null, null, default), await Operations.DecideAsync(none, decision, default), await Operations.ResolveAsync(none, resolve, default),
            await Operations.RetryAsync(none, null, default), await Operations.SetRunCapsAsync(none, caps, null, default),
        })
            Assert.IsType<OperationOutcome.NotFound>(missing);
        Assert.Null(await Operations.ApprovalsAsync(none, default));
        Assert.Null(await Operations.UnknownsAsync(none, default));
        Assert.Null(await Operations.WhyAsync(none, default));
        Assert.Null(await Operations.VerifyAsync(none, default));
        Assert.Null(await Operations.WasteAsync(none, default));
    }

    [Fact]
    public async Task A_decision_finds_the_one_open_approval_and_names_who_decided()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Asked("past").Decided("past").Asked("now", "delete it?"), RunStatus.Waiting);

        Assert.Equal(new OperationOutcome.Accepted(), await Operations.DecideAsync(run, new DecisionRequest(true, null, "ann", "fine"), default));
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.DecideAsync(run, new DecisionRequest(false, "no", "bob"), default));

        Assert.Equal(
            [(InputKind.Approval, """{"key":"now","approved":true,"by":"ann","comment":"fine","binding":"binding"}"""), (InputKind.Approval, """{"key":"now","approved":false,"by":"bob","binding":"binding"}""")],
            await _rig.InboxAsync(run));
    }

    public static TheoryData<string?, string> BadKeys => new()
    {
        { null, "has 2 of the kind 'open approval'" },
        { "ab", "that begin with 'ab'" },
        { "past", "settled already: approved by me" },
        { "gone", "settled already: denied by me" },
        { "late", "expired" },
        { "nothing", "has no open approval 'nothing'" },
    };

    [Theory]
    [MemberData(nameof(BadKeys))]
    public async Task A_decision_that_fits_no_open_approval_is_refused(string? key, string says)
    {
        var journal = TestJournal.Begin().Asked("past").Decided("past").Asked("gone").Decided("gone", approved: false).Asked("abc").Asked("abd");
        if (key == "late")
            journal.Asked("late", expires: TestJournal.Start.AddMinutes(1));
        var run = await _rig.PutAsync(journal, RunStatus.Waiting);

        var failure = Refused(await Operations.DecideAsync(run, new DecisionRequest(true, key), default));

        Assert.Equal(ErrorCodes.RunConflict, failure.Code);
        Assert.Contains(says, failure.Message, StringComparison.Ordinal);
        Assert.Empty(await _rig.InboxAsync(run));
    }

    [Fact]
    public async Task With_nothing_open_there_is_nothing_to_decide() =>
        Assert.Contains("has no open approval", Refused(await Operations.DecideAsync(await _rig.PutAsync(TestJournal.Begin()), new DecisionRequest(true), default)).Message, StringComparison.Ordinal);

    [Fact]
    public async Task Open_approvals_of_all_live_runs_are_listed_page_by_page()
    {
        var first = await _rig.PutAsync(TestJournal.Begin().Asked("a", "first?", _rig.Clock.GetUtcNow().AddMinutes(1), 2), RunStatus.Waiting);
        for (var i = 0; i < 55; i++)
            await _rig.PutAsync(TestJournal.Begin(), RunStatus.Paused, PauseCause.Operator);
        await _rig.PutAsync(TestJournal.Begin().Asked("over").Ended(), RunStatus.Completed);
        var last = await _rig.PutAsync(TestJournal.Begin().Asked("b", "last?"), RunStatus.Paused, PauseCause.Operator);

        var page = await Operations.AllApprovalsAsync(null, default);
        var rest = await Operations.AllApprovalsAsync(RunId.Parse(page.Next!), default);

        var newest = Assert.Single(page.Items);
        var oldest = Assert.Single(rest.Items);
        Assert.Equal((last.ToString(), "b", "last?", false, 1), (newest.Run, newest.Key, newest.Question, newest.Expired, newest.Approvers));
        Assert.Equal((first.ToString(), "a", 2), (oldest.Run, oldest.Key, oldest.Approvers));
        Assert.Null(rest.Next);
        _rig.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.True(Assert.Single((await Operations.ApprovalsAsync(first, default))!.Items).Expired);
    }

    [Fact]
    public async Task An_outcome_is_recorded_for_the_step_that_the_prefix_names()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Unknown("pay").Unknown("mail"), RunStatus.Paused, PauseCause.Unknown);

        Assert.Equal(["pay", "mail"], (await Operations.UnknownsAsync(run, default))!.Items.Select(i => i.Step));
        using var json = JsonDocument.Parse("""{"id": 7}""");
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.ResolveAsync(run, new ResolveRequest("p", "done", json.RootElement, "ann"), default));
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.ResolveAsync(run, new ResolveRequest("pay", "done", null, "ann"), default));
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.ResolveAsync(run, new ResolveRequest("mail", "not_done"), default));

        Assert.Equal(
            ["""{"key":"pay","how":"done","by":"ann","result":"{\"id\": 7}"}""", """{"key":"pay","how":"done","by":"ann","result":"null"}""", """{"key":"mail","how":"not_done","by":"operator"}"""],
            (await _rig.InboxAsync(run)).Select(i => i.Json));
    }

    [Fact]
    public async Task An_outcome_that_fits_no_step_is_refused()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Unknown("past").Resolved("past", "set").Unknown("pay"), RunStatus.Paused, PauseCause.Unknown);
        using var json = JsonDocument.Parse("1");
        using var large = JsonDocument.Parse("\"" + new string('x', RunOperations.MaxResultBytes) + "\"");

        Assert.Equal(ErrorCodes.RequestInvalid, Refused(await Operations.ResolveAsync(run, new ResolveRequest("pay", "perhaps"), default)).Code);
        Assert.Equal(ErrorCodes.RequestInvalid, Refused(await Operations.ResolveAsync(run, new ResolveRequest("pay", "skip", json.RootElement), default)).Code);
        Assert.Equal(ErrorCodes.PayloadTooLarge, Refused(await Operations.ResolveAsync(run, new ResolveRequest("pay", "done", large.RootElement), default)).Code);
        Assert.Contains("settled already: set", Refused(await Operations.ResolveAsync(run, new ResolveRequest("past", "done"), default)).Message, StringComparison.Ordinal);
        Assert.Equal(ErrorCodes.RunConflict, Refused(await Operations.ResolveAsync(run, new ResolveRequest("x", "done"), default)).Code);
        Assert.Empty(await _rig.InboxAsync(run));
    }

    [Theory]
    [InlineData("")]
    [InlineData("01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890")]
    public async Task Who_asks_has_a_name_of_bounded_length(string by)
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Asked("a").Unknown("s"), RunStatus.Paused, PauseCause.Drift);

        foreach (var outcome in new[]
        {
            await Operations.SignalAsync(run, "go", default, null, by, default), await Operations.DecideAsync(run, new DecisionRequest(true, null, by), default),
            await Operations.ResolveAsync(run, new ResolveRequest("s", "done", null, by), default), await Operations.RetryAsync(run, by, default),
            await Operations.SetRunCapsAsync(run, new Dictionary<string, string> { ["steps"] = "9" }, by, default),
        })
            Assert.StartsWith("by:", Refused(outcome).Message, StringComparison.Ordinal);
    }

    public static TheoryData<RunStatus, PauseCause, string?> Retries => new()
    {
        { RunStatus.Paused, PauseCause.RetryExhausted, null },
        { RunStatus.Paused, PauseCause.Poison, null },
        { RunStatus.Paused, PauseCause.Drift, null },
        { RunStatus.Paused, PauseCause.Version, null },
        { RunStatus.Paused, PauseCause.Restored, null },
        { RunStatus.Paused, PauseCause.Corrupt, null },
        { RunStatus.Paused, PauseCause.Unknown, null },
        { RunStatus.Paused, PauseCause.Operator, "caisson resume" },
        { RunStatus.Paused, PauseCause.Loop, "caisson resume" },
        { RunStatus.Paused, PauseCause.Budget, "with that limit raised" },
        { RunStatus.Running, PauseCause.None, "caisson why" },
        { RunStatus.Waiting, PauseCause.None, "caisson why" },
        { RunStatus.Failed, PauseCause.None, "caisson fork" },
    };

    [Theory]
    [MemberData(nameof(Retries))]
    public async Task A_retry_ends_the_pauses_of_troubles_and_names_the_right_verb_for_others(RunStatus status, PauseCause cause, string? says)
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), status, cause);

        var outcome = await Operations.RetryAsync(run, "ann", default);

        if (says is null)
            Assert.Equal((InputKind.Resume, """{"by":"ann"}"""), Assert.Single(await _rig.InboxAsync(run)));
        else
            Assert.Contains(says, Refused(outcome).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_that_waits_for_a_word_is_not_retried_without_it()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Unknown("pay"), RunStatus.Paused, PauseCause.Unknown);

        Assert.Contains($"caisson resolve {run} pay", Refused(await Operations.RetryAsync(run, null, default)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Why_reads_the_journal_and_the_inbox()
    {
        var run = await _rig.PutAsync(TestJournal.Begin().Asked("a", "really?"), RunStatus.Paused, PauseCause.Operator);
        await Operations.DecideAsync(run, new DecisionRequest(true), default);

        var why = await Operations.WhyAsync(run, default);

        Assert.Contains("approval a is open: really?", why!.Facts);
        Assert.Contains("a decision was recorded just now and its owner takes it up next", why.Facts);
    }

    internal static Failure Refused(OperationOutcome outcome) => Assert.IsType<OperationOutcome.Refused>(outcome).Failure;
}
