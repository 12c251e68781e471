using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_created_run_is_ready_with_its_first_entry_and_its_caps()
    {
        var run = NewRun(usd: 5, tokens: null);

        Assert.IsType<CreateOutcome.Created>(await Store.CreateAsync(run, default));

        var row = await FindAsync(run.Id);
        Assert.Equal((RunStatus.Ready, "agent", 0L, 1L, null), (row.Status, row.Agent, row.Epoch, row.LastSeq, row.Owner));
        Assert.Equal((run.At, run.At, null), (row.CreatedAt, row.DueAt, row.EndedAt));
        Assert.Equal((new BudgetState(5, 0, 0, 0), new BudgetState(null, 0, 0, 0)), (row.Money, row.Tokens));
        Assert.Equal(("a", "report.md"), (row.Summary.Labels["team"], Assert.Single(row.Summary.Artifacts)));
        var entry = Assert.Single(await JournalAsync(run.Id));
        Assert.Equal((1L, 0L, EntryKind.RunCreated, """{"input":"x"}"""), (entry.Seq, entry.Epoch, entry.Kind, System.Text.Encoding.UTF8.GetString(entry.Body.Span)));
        Assert.True(await IsClaimableAsync(run.Id));
    }

    [Fact]
    public async Task The_same_request_again_is_answered_with_the_first_run()
    {
        var first = NewRun("key");
        await Store.CreateAsync(first, default);

        var again = await Store.CreateAsync(NewRun("key"), default);
        var other = await Store.CreateAsync(NewRun("key", "another hash"), default);
        var free = await Store.CreateAsync(NewRun("another key"), default);

        Assert.Equal(new CreateOutcome.Existing(first.Id), again);
        Assert.Equal(new CreateOutcome.KeyMismatch(first.Id), other);
        Assert.IsType<CreateOutcome.Created>(free);
        Assert.Equal(2, (await Reader.ListAsync(new RunFilter(null, null, null, 10), default)).Count);
        Assert.Equal(new KeyedRun(first.Id, first.RequestHash), await Reader.FindByKeyAsync("key", default));
        Assert.Null(await Reader.FindByKeyAsync("no key", default));
    }

    [Fact]
    public async Task Of_many_creations_with_one_key_at_once_one_is_made()
    {
        var runs = Enumerable.Range(0, 30).Select(_ => NewRun("key")).ToList();

        var outcomes = await Task.WhenAll(runs.Select(run => Store.CreateAsync(run, default)));

        Assert.Single(outcomes.OfType<CreateOutcome.Created>());
        Assert.Single(outcomes.OfType<CreateOutcome.Existing>().Select(e => e.Run).Distinct());
        Assert.Single(await Reader.ListAsync(new RunFilter(null, null, null, 100), default));
    }

    [Fact]
    public async Task The_key_of_an_ended_run_stays_taken()
    {
        var run = NewRun("key");
        await Store.CreateAsync(run, default);
        await EndAsync(await ClaimAsync(run.Id));

        Assert.Equal(new CreateOutcome.Existing(run.Id), await Store.CreateAsync(NewRun("key"), default));
    }

    [Fact]
    public async Task A_claim_raises_the_epoch_and_is_journaled()
    {
        var run = await CreateAsync();
        Clock.Advance(TimeSpan.FromSeconds(5));

        var claimed = await ClaimAsync(run);

        Assert.Equal((RunStatus.Running, _node, 1L, 2L), (claimed.Status, claimed.Owner, claimed.Epoch, claimed.LastSeq));
        var entry = (await JournalAsync(run))[1];
        Assert.Equal((EntryKind.EpochClaimed, 1L, Clock.GetUtcNow()), (entry.Kind, entry.Epoch, entry.At));
        Assert.Contains("\"start\"", System.Text.Encoding.UTF8.GetString(entry.Body.Span), StringComparison.Ordinal);
        Assert.False(await IsClaimableAsync(run));
    }

    [Fact]
    public async Task Of_many_claims_at_once_one_holds_the_fence()
    {
        var run = await CreateAsync();

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Store.ClaimAsync(run, _node, default)));

        // A node may take its own run over again, so each may have won in its turn; the last one holds it.
        var epochs = (await JournalAsync(run)).Skip(1).Select(e => e.Epoch).ToList();
        Assert.Equal(Enumerable.Range(1, epochs.Count).Select(e => (long)e), epochs);
        Assert.Equal(outcomes.OfType<ClaimOutcome.Claimed>().Count(), epochs.Count);
        var last = await FindAsync(run);
        var accepted = 0;
        foreach (var epoch in epochs)
            accepted += await Store.AppendAsync(Unit(last with { Epoch = epoch }, Step("k")), default) is AppendOutcome.Committed ? 1 : 0;
        Assert.Equal(1, accepted);
    }

    [Fact]
    public async Task A_run_of_a_living_node_is_taken_by_nobody_else()
    {
        var run = await CreateAndClaimAsync();
        Clock.Advance(TimeSpan.FromDays(1));

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => Store.ClaimAsync(run.Id, new NodeId(Ids.NextRandom()), default)));

        Assert.All(outcomes, o => Assert.IsType<ClaimOutcome.NotClaimable>(o));
        Assert.Equal(run.LastSeq, (await FindAsync(run.Id)).LastSeq);
    }

    [Fact]
    public async Task A_run_that_is_not_due_paused_ended_or_unknown_is_not_claimable()
    {
        var soon = await CreateAndClaimAsync();
        await AppendAsync(Unit(soon) with { State = Halted(soon, RunStatus.Ready, due: Clock.GetUtcNow().AddMinutes(1)) });
        var paused = await PauseAsync(await CreateAndClaimAsync());
        var ended = await EndAsync(await CreateAndClaimAsync());

        foreach (var run in new[] { soon.Id, paused.Id, ended.Id, new RunId(Ids.NextRun()) })
        {
            Assert.False(await IsClaimableAsync(run));
            Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run, _node, default));
        }

        Assert.Equal(Clock.GetUtcNow().AddMinutes(1), await Reader.NextDueAsync(default));
        Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.True(await IsClaimableAsync(soon.Id));
        Assert.Contains("\"due\"", System.Text.Encoding.UTF8.GetString((await JournalAsync((await ClaimAsync(soon.Id)).Id))[^1].Body.Span), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Runs_of_a_dead_node_are_claimable_after_the_next_registration_and_not_before()
    {
        var running = await CreateAndClaimAsync();
        var waiting = await CreateAndClaimAsync();
        await AppendAsync(Unit(waiting) with { State = new RunRow(RunStatus.Waiting, WaitReason.Retry, PauseCause.None, Clock.GetUtcNow().AddHours(1), Release: false, waiting.Summary) });
        var paused = await PauseAsync(await CreateAndClaimAsync());
        var ended = await EndAsync(await CreateAndClaimAsync());
        Assert.Empty(await Reader.FindClaimableAsync(_node, 100, default));

        var next = await RegisterAsync();

        Assert.Equal(new[] { running.Id, waiting.Id }.Order(), (await Reader.FindClaimableAsync(next, 100, default)).Order());
        var claimed = await ClaimAsync(waiting.Id, next);
        Assert.Equal((RunStatus.Running, WaitReason.None, next, 2L), (claimed.Status, claimed.Waiting, claimed.Owner, claimed.Epoch));
        Assert.Contains("\"recovery\"", System.Text.Encoding.UTF8.GetString((await JournalAsync(waiting.Id))[^1].Body.Span), StringComparison.Ordinal);
        Assert.False(await IsClaimableAsync(paused.Id));
        Assert.False(await IsClaimableAsync(ended.Id));
    }

    [Fact]
    public async Task Runs_of_a_retired_node_are_claimable()
    {
        var run = await CreateAndClaimAsync();

        await _host.Nodes.RetireAsync(_node, default);

        Assert.True(await IsClaimableAsync(run.Id));
    }

    [Fact]
    public async Task A_lease_is_renewed_until_somebody_says_that_the_node_is_dead()
    {
        Assert.Equal(RenewOutcome.Renewed, _host.Nodes.Renew(_node));

        var next = await RegisterAsync();

        Assert.Equal(RenewOutcome.Fenced, _host.Nodes.Renew(_node));
        Assert.Equal(RenewOutcome.Renewed, _host.Nodes.Renew(next));
        Assert.Equal(RenewOutcome.Fenced, _host.Nodes.Renew(new NodeId(Ids.NextRandom())));
        await _host.Nodes.RetireAsync(next, default);
        Assert.Equal(RenewOutcome.Fenced, _host.Nodes.Renew(next));
    }

    /// <summary>Each bends one thing of a good unit so that its fence is stale.</summary>
    private static readonly Dictionary<string, Func<RunRecord, ChangeSet, ChangeSet>> StaleFences = new()
    {
        ["an older epoch"] = (run, unit) => unit with { Fence = unit.Fence with { Epoch = run.Epoch - 1 } },
        ["a later epoch"] = (run, unit) => unit with { Fence = unit.Fence with { Epoch = run.Epoch + 1 } },
        ["another owner"] = (_, unit) => unit with { Fence = unit.Fence with { Owner = new NodeId(Guid.Parse("00000000-0000-0000-0000-000000000001")) } },
        ["a place that is taken"] = (_, unit) => unit with { FirstSeq = unit.FirstSeq - 1 },
        ["a place behind a gap"] = (_, unit) => unit with { FirstSeq = unit.FirstSeq + 1 },
        ["a run that does not exist"] = (_, unit) => unit with { Run = new RunId(Guid.Parse("00000000-0000-7000-8000-000000000001")) },
    };

    public static TheoryData<string> StaleFenceNames => [.. StaleFences.Keys];

    [Theory]
    [MemberData(nameof(StaleFenceNames))]
    public async Task A_unit_with_a_stale_fence_changes_nothing(string name)
    {
        await CreateAndClaimAsync();
        var run = await CreateAndClaimAsync(usd: 100, tokens: 100);
        run = await AppendAsync(Unit(run, Step("k1")) with { Budget = [new BudgetChange.Reserve("h", new Hold(10, 10))] });
        await PostAsync(run.Id, "input");
        var input = Assert.Single(await Reader.ReadInboxAsync(run.Id, 10, default));
        run = await FindAsync(run.Id);
        var before = await EverythingAsync(run.Id);

        var unit = Unit(run, Step("k2"), Entry(EntryKind.RunEnded, "{}")) with
        {
            State = Halted(run, RunStatus.Completed),
            Budget = [new BudgetChange.Settle("h", new Usage(5, 5, 0)), new BudgetChange.Reserve("h2", new Hold(1, 1)), new BudgetChange.SetCap(LimitDimension.Tokens, 1_000)],
            ConsumedInputs = [input.Id],
        };
        var outcome = await Store.AppendAsync(StaleFences[name](run, unit), default);

        Assert.IsType<AppendOutcome.Fenced>(outcome);
        Assert.Equal(before, await EverythingAsync(run.Id));
    }

    [Fact]
    public async Task The_owner_before_the_present_one_writes_nothing()
    {
        var old = await CreateAndClaimAsync(usd: 100);
        old = await AppendAsync(Unit(old) with { Budget = [new BudgetChange.Reserve("h", new Hold(10, 0))], Entries = [Entry(EntryKind.StepStarted, "{}", "h")] });
        var next = await RegisterAsync();
        await ClaimAsync(old.Id, next);
        var before = await EverythingAsync(old.Id);

        foreach (var seq in new[] { old.LastSeq + 1, old.LastSeq + 2 })
            Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(Unit(old, Step("h")) with { FirstSeq = seq, Budget = [new BudgetChange.Settle("h", Usage.None)] }, default));

        Assert.Equal(before, await EverythingAsync(old.Id));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Nothing_is_written_after_the_end(bool released)
    {
        var run = await CreateAndClaimAsync();
        await AppendAsync(Unit(run, Entry(EntryKind.RunEnded, "{}")) with { State = Halted(run, RunStatus.Failed) with { Release = released } });
        var before = await EverythingAsync(run.Id);

        var outcome = await Store.AppendAsync(Unit(run with { LastSeq = run.LastSeq + 1 }, Step("late")), default);

        Assert.IsType<AppendOutcome.Fenced>(outcome);
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run.Id, _node, default));
        Assert.Equal(before, await EverythingAsync(run.Id));
        Assert.Equal(Clock.GetUtcNow(), (await FindAsync(run.Id)).EndedAt);
    }

    [Fact]
    public async Task A_released_run_takes_no_write_until_it_is_claimed_again()
    {
        var run = await CreateAndClaimAsync();
        var released = await AppendAsync(Unit(run) with { State = Halted(run, RunStatus.Ready, due: Clock.GetUtcNow()) });

        Assert.Null(released.Owner);
        Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(Unit(run, Step("k")), default));
        var again = await ClaimAsync(run.Id);
        Assert.Equal(2, again.Epoch);
        await AppendAsync(Unit(again, Step("k")));
    }

    [Fact]
    public async Task A_unit_sent_again_is_answered_alike_and_written_once()
    {
        var run = await CreateAndClaimAsync(usd: 100);
        var unit = Unit(run, Entry(EntryKind.StepStarted, "{}", "h"), Step("k")) with { Budget = [new BudgetChange.Reserve("h", new Hold(10, 0))] };

        var outcomes = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => Store.AppendAsync(unit, default)));
        Assert.All(outcomes, o => Assert.IsType<AppendOutcome.Committed>(o));
        var row = await FindAsync(run.Id);
        Assert.Equal((run.LastSeq + 2, 10L), (row.LastSeq, row.Money.Held));

        // Also when the journal went on since, and when somebody else owns the run by now.
        row = await AppendAsync(Unit(row, Step("k2")));
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));
        await ClaimAsync(run.Id, await RegisterAsync());
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));
        Assert.Equal([1L, 2L, 3L, 4L, 5L, 6L], (await JournalAsync(run.Id)).Select(e => e.Seq));
    }

    [Fact]
    public async Task The_last_unit_sent_again_after_the_end_is_answered_alike()
    {
        var run = await CreateAndClaimAsync();
        var last = Unit(run, Entry(EntryKind.RunEnded, "{}")) with { State = Halted(run, RunStatus.Completed) };
        await AppendAsync(last);

        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(last, default));
        Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(last with { AppendId = Ids.NextRandom() }, default));
        Assert.Equal(3, (await JournalAsync(run.Id)).Count);
    }

    [Fact]
    public async Task Entries_keep_everything_that_was_given()
    {
        var run = await CreateAndClaimAsync();
        Clock.Advance(TimeSpan.FromSeconds(3));

        await AppendAsync(Unit(run,
            new JournalDraft(EntryKind.StepCompleted, "{\"a\":1}"u8.ToArray(), "scope", "key", 3, "result"u8.ToArray()),
            new JournalDraft(EntryKind.StepCompleted, ReadOnlyMemory<byte>.Empty, "", "key2", 1, null, "blob-address"),
            new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray(), "", "key3", 1, ReadOnlyMemory<byte>.Empty),
            new JournalDraft(EntryKind.Paused, "xxbodyxx"u8.ToArray().AsMemory(2, 4))));

        var entries = (await JournalAsync(run.Id)).Skip(2).ToList();
        Assert.Equal(("scope", "key", 3, 1L, Clock.GetUtcNow()), (entries[0].Scope, entries[0].Key, entries[0].Attempt, entries[0].Epoch, entries[0].At));
        Assert.Equal(("{\"a\":1}", "result", null), (Text(entries[0].Body), Text(entries[0].Payload!.Value), entries[0].Blob));
        Assert.Equal((0, null, "blob-address"), (entries[1].Body.Length, entries[1].Payload, entries[1].Blob));
        Assert.Equal(0, Assert.NotNull(entries[2].Payload).Length);
        Assert.Equal(("body", null, null), (Text(entries[3].Body), entries[3].Payload, entries[3].Key));

        static string Text(ReadOnlyMemory<byte> bytes) => System.Text.Encoding.UTF8.GetString(bytes.Span);
    }

    [Fact]
    public async Task Large_and_many_entries_are_kept()
    {
        var run = await CreateAndClaimAsync();
        var large = string.Create(3 << 20, 0, (span, _) => { for (var i = 0; i < span.Length; i++) span[i] = (char)('a' + i % 26); });

        run = await AppendAsync(Unit(run, Step("large", large)));
        run = await AppendAsync(Unit(run, [.. Enumerable.Range(0, 500).Select(i => Step(i.ToString(CultureInfo.InvariantCulture)))]));

        var journal = await JournalAsync(run.Id);
        Assert.Equal(503, journal.Count);
        Assert.Equal(large, System.Text.Encoding.UTF8.GetString(journal[2].Payload!.Value.Span));
        Assert.Equal(503, run.LastSeq);
    }
}
