using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Core.Tests.Operations;
using Caisson.Core.Verification;
using CsCheck;

namespace Caisson.Core.Tests.Verification;

/// <summary>One good journal with everything in it, one thing damaged at a time.</summary>
public sealed class JournalVerifierTests
{
    private static readonly TestJournal Good = TestJournal.Begin()
        .Started("m1", step: TestJournal.Model("x"))                                                                    // 3
        .Failed("m1", 1)                                                                                                // 4
        .Started("m1", 2, step: TestJournal.Model("x"))                                                                 // 5
        .Completed("m1", 2, TestJournal.Model("x"), new Usage(7, 100, 20))                                              // 6
        .Completed("t1", 1, TestJournal.Tool("shell"), workspace: "root1")                                              // 7
        .Started("pay", 1, EffectClass.AtMostOnce)                                                                      // 8
        .Claim("recovery")                                                                                              // 9
        .Unknown("pay")                                                                                                 // 10
        .Resolved("pay", "not_done")                                                                                    // 11
        .Started("pay", 2, EffectClass.AtMostOnce)                                                                      // 12
        .Completed("pay", 2)                                                                                            // 13
        .TimerSet("nap")                                                                                                // 14
        .TimerFired("nap")                                                                                              // 15
        .Spawned("c1")                                                                                                  // 16
        .Spawned("c2", detached: true)                                                                                  // 17
        .ChildEnded("c1")                                                                                               // 18
        .Asked("ok")                                                                                                    // 19
        .Decided("ok")                                                                                                  // 20
        .Signal("i1")                                                                                                   // 21
        .Signal("i2")                                                                                                   // 22
        .Add(new EntryBody.LimitHit("run:x", LimitDimension.Steps, 1, 1, 0, 1))                                         // 23
        .Paused(PauseCause.Budget)                                                                                      // 24
        .Claim("input")                                                                                                 // 25
        .Add(new EntryBody.LimitRaised(new RaisedLimits(Steps: 10), "me"))                                              // 26
        .Resumed()                                                                                                      // 27
        .Add(new EntryBody.LoopSuspected("repeat", "shell", 5, 1, false))                                               // 28
        .Add(new EntryBody.Snapshot(new Dictionary<string, int>(), []), "snap", result: "state")                            // 29
        .Completed("last", result: "1")                                                                                 // 30
        .Ended();                                                                                                       // 31

    private static readonly RunRecord Row = Good.Row(RunStatus.Completed, summary: new RunSummary { Steps = 4, ToolCalls = 1, InputTokens = 100, OutputTokens = 20, WorkspaceRoot = "root1" });

    [Fact]
    public void A_good_journal_has_no_findings()
    {
        Assert.Equal([], Verify(Good.Chained));
        Assert.Equal([], Verify([.. Good.Entries]));
    }

    [Fact]
    public void A_journal_older_than_the_chain_may_begin_without_hashes()
    {
        var old = Good.Entries.Take(10).ToList();
        var mixed = new List<JournalEntry>(old);
        var previous = Array.Empty<byte>();
        foreach (var entry in Good.Entries.Skip(10))
            mixed.Add(entry with { Chain = previous = JournalChain.Next(previous, TestJournal.Run, entry) });

        Assert.Equal([], Verify(mixed));
    }

    [Fact]
    public void A_journal_that_left_a_way_may_do_again_what_it_did_there()
    {
        var journal = TestJournal.Begin()
            .Completed("a").Asked("ok").Decided("ok").TimerSet("nap").TimerFired("nap").Asked("two", approvers: 2)
            .Add(new EntryBody.ApprovalDecided(true, ["ann"], null, false, Partial: true), "two").Decided("two")
            .Claim("recovery").Add(new EntryBody.Drift(new DriftReport(3, "x", "y"), WentLive: true))
            .Completed("a").Asked("ok").Decided("ok").TimerFired("nap");
        var row = journal.Row(RunStatus.Running, summary: new RunSummary { Steps = 2 });

        Assert.Equal([], Verify(journal.Chained, row));

        // Once, and not twice.
        var finding = Assert.Single(Verify(journal.Decided("ok").Chained, row with { LastSeq = row.LastSeq + 1 }));
        Assert.Equal(FindingCode.AnsweredTwice, finding.Code);
    }

    /// <summary>What a faulty engine might write: the hashes fit, the sense does not.</summary>
    public static TheoryData<string, Func<List<JournalEntry>, List<JournalEntry>>, FindingCode, long> Faults => new()
    {
        { "a completion again", Insert(14, e => Copy(e, 7)), FindingCode.CompletedTwice, 14 },
        { "a completion of what a person has set", Both(Change(11, e => e with { Body = Body(new EntryBody.StepResolved(TestJournal.Named("pay"), "set", "me", null)) }), Change(12, _ => Note())), FindingCode.CompletedTwice, 13 },
        { "an attempt after the completion", Insert(14, e => Copy(e, 8) with { Attempt = 9 }), FindingCode.ExecutedAgain, 14 },
        { "an attempt's number again", Change(5, e => e with { Attempt = 1 }), FindingCode.AttemptFell, 5 },
        { "a completion of an earlier attempt", Change(6, e => e with { Attempt = 1 }), FindingCode.AttemptFell, 6 },
        { "a resolution unasked", Change(10, _ => Note()), FindingCode.ResolvedUnasked, 11 },
        { "a timer that was not set", Change(14, _ => Note()), FindingCode.AnsweredUnasked, 15 },
        { "a timer that fires twice", Insert(16, e => Copy(e, 15)), FindingCode.AnsweredTwice, 16 },
        { "a timer set twice", Insert(15, e => Copy(e, 14)), FindingCode.AskedTwice, 15 },
        { "a child that nobody spawned", Change(16, _ => Note()), FindingCode.AnsweredUnasked, 18 },
        { "a child that ends twice", Insert(19, e => Copy(e, 18)), FindingCode.AnsweredTwice, 19 },
        { "a question asked again as it was", Insert(20, e => Copy(e, 19)), FindingCode.AskedTwice, 20 },
        { "a decision unasked", Change(19, _ => Note()), FindingCode.AnsweredUnasked, 20 },
        { "a second decision", Insert(21, e => Copy(e, 20)), FindingCode.AnsweredTwice, 21 },
        { "a signal consumed twice", Insert(22, e => Copy(e, 21)), FindingCode.InputConsumedTwice, 22 },
        { "an entry after the end", Insert(32, _ => Note()), FindingCode.AfterEnd, 32 },
        { "an epoch that falls", Change(28, e => e with { Epoch = 1 }), FindingCode.EpochFell, 28 },
        { "an epoch that nobody claimed", Change(31, e => e with { Epoch = 4 }), FindingCode.EpochUnclaimed, 31 },
        { "a claim of the epoch that is", Insert(29, e => Copy(e, 25)), FindingCode.EpochReused, 29 },
        { "a second creation", Insert(29, e => Copy(e, 1)), FindingCode.CreatedMisplaced, 29 },
        { "no creation", Change(1, e => Note() with { Epoch = 0 }), FindingCode.CreatedMisplaced, 1 },
        { "a body that is not JSON", Change(28, e => e with { Body = "{"u8.ToArray() }), FindingCode.BodyInvalid, 28 },
        { "a completion that says nothing of its step", Change(7, e => e with { Body = "{}"u8.ToArray() }), FindingCode.BodyInvalid, 7 },
        { "an end without a final status", Change(31, e => e with { Body = Body(new EntryBody.RunEnded(RunStatus.Running, null, null)) }), FindingCode.BodyInvalid, 31 },
        { "a kind from the future", Change(28, e => e with { Kind = (EntryKind)99 }), FindingCode.KindUnknown, 28 },
        { "a completion without a key", Change(7, e => e with { Key = null }), FindingCode.KeyMissing, 7 },
        { "an entry that is missing", Drop(28), FindingCode.SeqGap, 29 },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Each_fault_is_found_where_it_is(string fault, Func<List<JournalEntry>, List<JournalEntry>> damage, FindingCode code, long seq)
    {
        var entries = damage([.. Good.Entries]);
        var row = Row with { LastSeq = entries[^1].Seq, Epoch = entries.Max(e => e.Epoch) };

        var findings = Verify(TestJournal.Chain(entries), row);

        Assert.True(findings is [var only] && only.Code == code && only.Seq == seq, $"{fault}: {string.Join("; ", findings)}");
    }

    /// <summary>What a disk or a hand might do to one entry that was written well.</summary>
    public static TheoryData<string, Func<JournalEntry, JournalEntry>> Tamperings => new()
    {
        { "body", e => e with { Body = Body(new EntryBody.LoopSuspected("repeat", "shell", 6, 1, false)) } },
        { "time", e => e with { At = e.At.AddMilliseconds(1) } },
        { "scope", e => e with { Scope = "other" } },
        { "payload", e => e with { Payload = "x"u8.ToArray() } },
        { "blob", e => e with { Blob = "x" } },
        { "attempt", e => e with { Attempt = 1 } },
        { "key", e => e with { Key = "x" } },
        { "hash", e => e with { Chain = new byte[32] } },
    };

    [Theory]
    [MemberData(nameof(Tamperings))]
    public void A_changed_entry_breaks_the_chain_there_and_nowhere_else(string what, Func<JournalEntry, JournalEntry> tamper)
    {
        var entries = Good.Chained.ToList();
        entries[27] = tamper(entries[27]);

        var findings = Verify(entries);

        Assert.True(findings is [{ Code: FindingCode.ChainBroken, Seq: 28 }], $"{what}: {string.Join("; ", findings)}");
    }

    [Fact]
    public void A_hash_that_was_removed_is_missed_once()
    {
        var entries = Good.Chained.ToList();
        entries[27] = entries[27] with { Chain = default };

        Assert.Equal([(28L, FindingCode.ChainMissing)], Verify(entries).Select(f => (f.Seq, f.Code)));
    }

    [Fact]
    public void Two_entries_that_changed_places_break_the_chain()
    {
        var entries = Good.Chained.ToList();
        (entries[20], entries[21]) = (entries[21] with { Seq = 21 }, entries[20] with { Seq = 22 });

        Assert.Contains(Verify(entries), f => f is { Code: FindingCode.ChainBroken, Seq: 21 });
    }

    [Fact]
    public void An_entry_of_another_run_breaks_the_chain()
    {
        var other = RunId.Parse("0194f2c8-0000-7000-8000-000000000002");
        var verifier = new JournalVerifier(other);
        foreach (var entry in Good.Chained)
            verifier.Add(entry, entry.Body);

        Assert.NotEmpty(verifier.Found.Items);
        Assert.All(verifier.Found.Items, f => Assert.Equal(FindingCode.ChainBroken, f.Code));
    }

    public static TheoryData<string, Func<RunRecord, RunRecord>> OtherRows => new()
    {
        { "status", r => r with { Status = RunStatus.Failed } },
        { "status", r => r with { Status = RunStatus.Paused, Paused = PauseCause.Budget } },
        { "epoch", r => r with { Epoch = 4 } },
        { "last entry", r => r with { LastSeq = 30 } },
        { "steps", r => r with { Summary = r.Summary with { Steps = 5 } } },
        { "tool calls", r => r with { Summary = r.Summary with { ToolCalls = 0 } } },
        { "input tokens", r => r with { Summary = r.Summary with { InputTokens = 0 } } },
        { "output tokens", r => r with { Summary = r.Summary with { OutputTokens = 21 } } },
        { "workspace root", r => r with { Summary = r.Summary with { WorkspaceRoot = null } } },
        { "kept of the workspace", r => r with { Summary = r.Summary with { Kept = WorkspaceKeep.Artifacts } } },
    };

    [Theory]
    [MemberData(nameof(OtherRows))]
    public void A_row_that_says_something_else_is_found(string figure, Func<RunRecord, RunRecord> change)
    {
        var finding = Assert.Single(Verify(Good.Chained, change(Row)));

        Assert.Equal((0L, FindingCode.ProjectionDiffers), (finding.Seq, finding.Code));
        Assert.StartsWith(figure + ":", finding.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_paused_run_s_row_names_the_journal_s_cause()
    {
        var journal = TestJournal.Begin().Paused(PauseCause.Loop);

        Assert.Equal([], Verify(journal.Chained, journal.Row(RunStatus.Paused, paused: PauseCause.Loop)));
        Assert.Single(Verify(journal.Chained, journal.Row(RunStatus.Paused, paused: PauseCause.Budget)));
        Assert.Single(Verify(journal.Chained, journal.Row(RunStatus.Running)));
    }

    [Fact]
    public void A_journal_that_lost_its_tail_is_found_by_the_row()
    {
        var finding = Assert.Single(Verify([.. Good.Chained.Take(29)]));

        Assert.Equal((29L, FindingCode.TailMissing), (finding.Seq, finding.Code));
    }

    [Fact]
    public void What_is_wrong_all_over_is_not_listed_for_ever()
    {
        var verifier = new JournalVerifier(TestJournal.Run);
        for (var seq = 1; seq <= FindingList.Most + 2; seq++)
            verifier.Add(Note() with { Seq = seq * 2 }, default);

        Assert.Equal((FindingList.Most, true), (verifier.Found.Items.Count, verifier.Found.Truncated));
    }

    /// <summary>Whatever single bit of a stored entry flips, the verifier sees it, or cannot be fooled into a crash by it.</summary>
    [Fact]
    public void No_flipped_bit_of_a_body_or_a_result_goes_unseen() =>
        Gen.Select(Gen.Int[0, Good.Entries.Count - 1], Gen.Int[0, int.MaxValue], Gen.Bool).Sample((place, bit, inPayload) =>
        {
            var entries = Good.Chained.ToList();
            var entry = entries[place];
            if (inPayload && entry.Payload is not { Length: > 0 })
                return;
            var bytes = (inPayload ? entry.Payload!.Value : entry.Body).ToArray();
            bit %= bytes.Length * 8;
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            entries[place] = inPayload ? entry with { Payload = bytes } : entry with { Body = bytes };

            Assert.Contains(Verify(entries), f => f.Seq == place + 1 && f.Code == FindingCode.ChainBroken);
        }, iter: 2_000);

    private static IReadOnlyList<Finding> Verify(IReadOnlyList<JournalEntry> entries, RunRecord? row = null)
    {
        var verifier = new JournalVerifier(TestJournal.Run);
        foreach (var entry in entries)
            verifier.Add(entry, entry.Body);
        verifier.Finish(row ?? Row);
        return verifier.Found.Items;
    }

    private static byte[] Body(EntryBody body) => EntryBodies.Write(body);

    private static JournalEntry Note() => new(0, 3, TestJournal.Start, EntryKind.LoopSuspected, "", null, 0, Body(new EntryBody.LoopSuspected("repeat", "shell", 5, 1, false)), null, null);

    private static JournalEntry Copy(List<JournalEntry> entries, long seq) => entries[(int)seq - 1];

    private static Func<List<JournalEntry>, List<JournalEntry>> Change(int seq, Func<JournalEntry, JournalEntry> change) => entries =>
    {
        var before = entries[seq - 1];
        var after = change(before);
        entries[seq - 1] = after with { Seq = seq, Epoch = after.Kind == EntryKind.LoopSuspected && after.Epoch == 3 ? before.Epoch : after.Epoch };
        return entries;
    };

    /// <summary>Puts an entry in at a place, of the epoch there; what follows moves on.</summary>
    private static Func<List<JournalEntry>, List<JournalEntry>> Insert(int seq, Func<List<JournalEntry>, JournalEntry> entry) => entries =>
    {
        entries.Insert(seq - 1, entry(entries) with { Epoch = entries[seq - 2].Epoch });
        return Renumber(entries);
    };

    private static Func<List<JournalEntry>, List<JournalEntry>> Drop(int seq) => entries =>
    {
        entries.RemoveAt(seq - 1);
        return entries;
    };

    private static Func<List<JournalEntry>, List<JournalEntry>> Both(Func<List<JournalEntry>, List<JournalEntry>> one, Func<List<JournalEntry>, List<JournalEntry>> other) =>
        entries => other(one(entries));

    private static List<JournalEntry> Renumber(List<JournalEntry> entries) => [.. entries.Select((e, i) => e with { Seq = i + 1 })];
}
