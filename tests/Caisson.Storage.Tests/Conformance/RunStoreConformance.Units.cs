using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>What one unit may bring along: children, posts, entries of other times and of other versions.</summary>
public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Children_begin_with_the_unit_that_spawns_them_and_only_once()
    {
        var parent = await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        var child = ChildOf(parent, usd: 5);
        var unit = Unit(parent, Entry(EntryKind.ChildSpawned, "{}")) with { Children = [child] };

        parent = await AppendAsync(unit);
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));
        await AppendAsync(Unit(parent, Entry(EntryKind.ChildSpawned, "{}")) with { Children = [child with { Agent = "another" }, ChildOf(parent)] });

        var born = await FindAsync(child.Id);
        Assert.Equal((RunStatus.Ready, "agent", parent.Id, 1, "acme", 1L), (born.Status, born.Agent, born.Parent, born.Depth, born.Tenant, born.LastSeq));
        Assert.Equal(new BudgetState(5, 0, 0, 0), born.Money);
        Assert.Single(await JournalAsync(child.Id));
        Assert.True(await IsClaimableAsync(child.Id));
        Assert.Equal(3, (await Reader.ListAsync(new RunFilter(null, null, null, 10), default)).Count);
    }

    [Fact]
    public async Task A_child_whose_parent_is_gone_stands_under_its_tenant()
    {
        var orphan = await CreateAndClaimAsync(NewRun() with { Tenant = "acme", Parent = new RunId(Ids.NextRun()), Depth = 1 });

        await AppendAsync(Unit(orphan) with { Budget = [new BudgetChange.Reserve("a", new Hold(3, 0))] });

        Assert.Equal(3, (await MoneyAsync("tenant:acme")).Held);
        Assert.NotNull(orphan.Parent);
    }

    [Fact]
    public async Task The_same_run_created_again_is_answered_with_itself()
    {
        var run = NewRun();
        await Store.CreateAsync(run, default);

        Assert.Equal(new CreateOutcome.Existing(run.Id), await Store.CreateAsync(run, default));
        Assert.Equal(new CreateOutcome.KeyMismatch(run.Id), await Store.CreateAsync(run with { RequestHash = "other" }, default));
        Assert.Single(await JournalAsync(run.Id));
    }

    [Fact]
    public async Task Posts_of_a_unit_are_delivered_with_it_and_dropped_where_nobody_can_take_them()
    {
        var sender = await CreateAndClaimAsync();
        var paused = await PauseAsync(await CreateAndClaimAsync());
        var waiting = await CreateAndClaimAsync();
        await AppendAsync(Unit(waiting) with { State = new RunRow(RunStatus.Waiting, WaitReason.Child, PauseCause.None, null, Release: true, waiting.Summary) });
        var ended = await EndAsync(await CreateAndClaimAsync());
        var child = ChildOf(sender);
        await PostAsync(paused.Id, "known");
        var claimed = await ClaimAsync(paused.Id);
        await PauseAsync(await AppendAsync(Unit(claimed) with { ConsumedInputs = [(await Reader.ReadInboxAsync(paused.Id, 1, default))[0].Id] }));
        Assert.False(await IsClaimableAsync(waiting.Id));

        await AppendAsync(Unit(sender, Entry(EntryKind.ChildSpawned, "{}")) with
        {
            Children = [child],
            Posts =
            [
                InputFor(waiting.Id, "end"), InputFor(waiting.Id, "end"), InputFor(paused.Id, "known"), InputFor(ended.Id, "late"), InputFor(new RunId(Ids.NextRun()), "nobody"), InputFor(child.Id, "first"),
            ],
        });

        var input = Assert.Single(await Reader.ReadInboxAsync(waiting.Id, 10, default));
        Assert.Equal((InputKind.ChildEnded, Clock.GetUtcNow(), "{}"), (input.Kind, input.At, System.Text.Encoding.UTF8.GetString(input.Payload.Span)));
        Assert.True(await IsClaimableAsync(waiting.Id));
        Assert.False(await IsClaimableAsync(paused.Id));
        Assert.Empty(await Reader.ReadInboxAsync(ended.Id, 10, default));
        Assert.Single(await Reader.ReadInboxAsync(child.Id, 10, default));
    }

    [Fact]
    public async Task A_post_to_oneself_wakes_after_a_release_and_is_dropped_at_the_end()
    {
        var sleeper = await CreateAndClaimAsync();
        await AppendAsync(Unit(sleeper) with { State = Halted(sleeper, RunStatus.Waiting), Posts = [InputFor(sleeper.Id, "self")] });
        Assert.True(await IsClaimableAsync(sleeper.Id));

        var over = await CreateAndClaimAsync();
        await AppendAsync(Unit(over, Entry(EntryKind.RunEnded, "{}")) with { State = Halted(over, RunStatus.Completed), Posts = [InputFor(over.Id, "self")] });
        Assert.Empty(await Reader.ReadInboxAsync(over.Id, 10, default));
        Assert.Null((await FindAsync(over.Id)).DueAt);
    }

    [Fact]
    public async Task A_refused_unit_brings_neither_children_nor_posts()
    {
        var run = await CreateAndClaimAsync(usd: 1);
        var target = await PauseAsync(await CreateAndClaimAsync());
        var child = ChildOf(run);
        var unit = Unit(run, Entry(EntryKind.ChildSpawned, "{}")) with { Children = [child], Posts = [InputFor(target.Id, "x")] };

        Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(unit with { Fence = new Fence(_node, 7) }, default));
        Assert.IsType<AppendOutcome.Denied>(await Store.AppendAsync(unit with { Budget = [new BudgetChange.Reserve("a", new Hold(2, 0))] }, default));

        Assert.Null(await Reader.FindAsync(child.Id, default));
        Assert.False(await IsClaimableAsync(target.Id));
    }

    [Fact]
    public async Task A_run_may_begin_with_many_entries_of_their_own_times_and_later_than_now()
    {
        var past = Clock.GetUtcNow().AddDays(-3);
        var run = NewRun() with
        {
            More = [Entry(EntryKind.ForkedFrom, "{}"), Step("a", "\"x\"") with { At = past }],
            DueAt = Clock.GetUtcNow().AddMinutes(5),
        };

        await Store.CreateAsync(run, default);

        var journal = await JournalAsync(run.Id);
        Assert.Equal([(1L, EntryKind.RunCreated, Clock.GetUtcNow()), (2L, EntryKind.ForkedFrom, Clock.GetUtcNow()), (3L, EntryKind.StepCompleted, past)], journal.Select(e => (e.Seq, e.Kind, e.At)));
        Assert.Equal(3, (await FindAsync(run.Id)).LastSeq);
        Assert.False(await IsClaimableAsync(run.Id));
        Assert.Equal(run.DueAt, await Reader.NextDueAsync(default));
        Clock.Advance(TimeSpan.FromMinutes(5));
        var claimed = await AppendAsync(Unit(await ClaimAsync(run.Id), Step("b") with { At = past }));
        Assert.Equal((5L, past), (claimed.LastSeq, (await JournalAsync(run.Id))[^1].At));
    }

    [Fact]
    public async Task An_entry_of_an_unknown_kind_is_read_as_it_is()
    {
        var run = await AppendAsync(Unit(await CreateAndClaimAsync(), Entry((EntryKind)999, """{"new":1}""")));

        var entry = (await JournalAsync(run.Id))[^1];

        Assert.Equal(((EntryKind)999, """{"new":1}"""), (entry.Kind, System.Text.Encoding.UTF8.GetString(entry.Body.Span)));
    }

    [Fact]
    public async Task A_unit_without_entries_sent_again_is_written_once()
    {
        var run = await CreateAndClaimAsync();
        var unit = Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(10, 0))] };

        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(unit, default));

        Assert.Equal(10, (await FindAsync(run.Id)).Money.Held);
    }

    [Fact]
    public async Task A_second_reservation_of_a_step_adds_to_its_first()
    {
        var run = await CreateAndClaimAsync(usd: 100);

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(10, 1))] });
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(20, 2))] });
        Assert.Equal((30, 3), (run.Money.Held, run.Tokens.Held));

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Release("a")] });
        Assert.Equal((0, 0), (run.Money.Held, run.Tokens.Held));
    }

    [Fact]
    public async Task An_input_is_consumed_by_its_own_run_only()
    {
        var run = await CreateAndClaimAsync();
        var other = await CreateAndClaimAsync();
        await PostAsync(other.Id, "x");
        var input = Assert.Single(await Reader.ReadInboxAsync(other.Id, 10, default));

        await AppendAsync(Unit(run) with { ConsumedInputs = [input.Id] });

        Assert.Single(await Reader.ReadInboxAsync(other.Id, 10, default));
    }

    [Fact]
    public async Task An_ended_run_is_owned_by_nobody_and_never_due()
    {
        var run = await CreateAndClaimAsync();

        await AppendAsync(Unit(run, Entry(EntryKind.RunEnded, "{}")) with { State = new RunRow(RunStatus.Completed, WaitReason.None, PauseCause.None, Clock.GetUtcNow(), Release: false, run.Summary) });

        Assert.Equal(((NodeId?)null, (DateTimeOffset?)null), (await FindAsync(run.Id)) is var row ? (row.Owner, row.DueAt) : default);
        Assert.Empty(await Reader.ListOwnedAsync(_node, default));
        Assert.Null(await Reader.NextDueAsync(default));
        Assert.Empty(await Reader.FindClaimableAsync(await RegisterAsync(), 10, default));
    }

    private static NewInput InputFor(RunId run, string id) => new(run, id, InputKind.ChildEnded, "{}"u8.ToArray());
}
