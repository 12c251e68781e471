using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>Ends that are confirmed later, and runs that an engine must leave alone.</summary>
public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task An_unconfirmed_end_is_listed_until_it_is_confirmed_and_its_journal_stays_as_it_is()
    {
        var run = await CreateAndClaimAsync();
        var other = await CreateAndClaimAsync();
        Assert.False(await _host.Unconfirmed.ConfirmEndAsync(run.Id, default));
        foreach (var (ended, unconfirmed) in new[] { (run, true), (other, false) })
        {
            var state = Halted(ended, RunStatus.Cancelled) with { Summary = ended.Summary with { Unconfirmed = unconfirmed, Detail = "because" } };
            await AppendAsync(Unit(ended, Entry(EntryKind.RunEnded, "{}")) with { State = state });
        }

        var journal = await JournalAsync(run.Id);

        Assert.Equal([run.Id], await _host.Unconfirmed.FindUnconfirmedAsync(10, default));
        Assert.True((await FindAsync(run.Id)).Summary.Unconfirmed);
        Assert.False(await _host.Unconfirmed.ConfirmEndAsync(other.Id, default));
        Assert.False(await _host.Unconfirmed.ConfirmEndAsync(new RunId(Ids.NextRun()), default));
        Assert.True(await _host.Unconfirmed.ConfirmEndAsync(run.Id, default));
        Assert.False(await _host.Unconfirmed.ConfirmEndAsync(run.Id, default));

        Assert.Empty(await _host.Unconfirmed.FindUnconfirmedAsync(10, default));
        var record = await FindAsync(run.Id);
        Assert.Equal((RunStatus.Cancelled, false, UnconfirmedEnds.Later, "a"), (record.Status, record.Summary.Unconfirmed, record.Summary.Detail, record.Summary.Labels["team"]));
        Assert.Equal("because", (await FindAsync(other.Id)).Summary.Detail);
        Assert.Equal(journal.Count, (await JournalAsync(run.Id)).Count);
    }

    [Fact]
    public async Task A_run_that_a_newer_engine_has_driven_is_left_alone()
    {
        var newer = NewRun() with { MinEngine = EngineVersion.Level + 1 };
        await Store.CreateAsync(newer, default);
        var readable = await CreateAsync();

        Assert.Equal([readable], await Reader.FindClaimableAsync(_node, 10, default));
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(newer.Id, _node, default));
        Assert.IsType<PostOutcome.Posted>(await PostAsync(newer.Id, "x"));
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(newer.Id, _node, default));
        Assert.Equal((EngineVersion.Level + 1, null, 0L), (await FindAsync(newer.Id) is var found ? found.MinEngine : 0, (await FindAsync(newer.Id)).Owner, (await FindAsync(newer.Id)).Epoch));
    }

    [Fact]
    public async Task A_claim_says_which_engine_may_have_written_since()
    {
        var old = NewRun() with { MinEngine = EngineVersion.Level - 1 };

        var claimed = await CreateAndClaimAsync(old);

        Assert.Equal(EngineVersion.Level, claimed.MinEngine);
    }
}
