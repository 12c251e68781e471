using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Stores;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.InMemory;

/// <summary>Several nodes on one store: they judge each other by their beats.</summary>
public sealed class SharedMemoryStoreTests
{
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly SystemIds _ids = new(TimeProvider.System);
    private readonly MemoryStore _store;

    public SharedMemoryStoreTests() => _store = new MemoryStore(_clock, shared: true);

    [Fact]
    public async Task Registering_declares_nobody_dead()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());

        Assert.Equal((RenewOutcome.Renewed, RenewOutcome.Renewed), (_store.Renew(a), _store.Renew(b)));
    }

    [Fact]
    public async Task A_run_of_a_living_node_is_not_taken_by_another()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());
        var run = await CreateAsync();
        await ClaimAsync(run, a);

        Beat(TimeSpan.FromMinutes(1), a, b);

        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Assert.IsType<ClaimOutcome.NotClaimable>(await _store.ClaimAsync(run, b, default));
    }

    [Fact]
    public async Task A_node_whose_beat_stands_still_for_a_lease_loses_its_runs_and_stays_dead()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());
        var run = await CreateAsync();
        var claimed = await ClaimAsync(run, a);

        Beat(LeaseTimes.TimeToLive - TimeSpan.FromTicks(1), b);
        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Beat(TimeSpan.FromTicks(1), b);
        Assert.Equal([run], await _store.FindClaimableAsync(b, 10, default));

        // From the look on it is dead, and not only from the claim on.
        Assert.Equal(RenewOutcome.Fenced, _store.Renew(a));
        Assert.IsType<AppendOutcome.Fenced>(await _store.AppendAsync(Unit(claimed), default));
        var taken = await ClaimAsync(run, b);
        Assert.Equal((b, 2L), (taken.Owner!.Value, taken.Epoch));
        Assert.IsType<AppendOutcome.Fenced>(await _store.AppendAsync(Unit(claimed), default));
        Assert.IsType<AppendOutcome.Committed>(await _store.AppendAsync(Unit(taken), default));
        Assert.Equal((0, 0), (taken.Suspicion, taken.LoneCrashes));
    }

    [Fact]
    public async Task A_claim_itself_judges_too()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());
        var run = await CreateAsync();
        await ClaimAsync(run, a);

        Beat(LeaseTimes.TimeToLive, b);

        await ClaimAsync(run, b);
        Assert.Equal(RenewOutcome.Fenced, _store.Renew(a));
    }

    /// <summary>Everybody was cut off for a while. The first to come back would else declare all others dead.</summary>
    [Fact]
    public async Task After_a_stall_nobody_is_judged_before_a_whole_lease_was_watched()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());
        var run = await CreateAsync();
        await ClaimAsync(run, a);
        _clock.Advance(TimeSpan.FromMinutes(5));

        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Assert.Equal(RenewOutcome.Renewed, _store.Renew(b));
        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Beat(LeaseTimes.TimeToLive - TimeSpan.FromTicks(1), b);
        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));

        Beat(TimeSpan.FromTicks(1), b);
        Assert.Equal([run], await _store.FindClaimableAsync(b, 10, default));
    }

    [Fact]
    public async Task A_new_node_watches_for_a_lease_before_it_judges()
    {
        var a = await RegisterAsync();
        var run = await CreateAsync();
        await ClaimAsync(run, a);
        _clock.Advance(TimeSpan.FromHours(1));
        var b = await RegisterAsync();

        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Beat(LeaseTimes.TimeToLive, b);

        Assert.Equal([run], await _store.FindClaimableAsync(b, 10, default));
    }

    [Fact]
    public async Task A_state_put_back_is_as_it_was_and_its_leases_begin_anew()
    {
        var (a, b) = (await RegisterAsync(), await RegisterAsync());
        var run = await CreateAsync();
        var claimed = await ClaimAsync(run, a);
        var snapshot = _store.Snapshot();
        Assert.IsType<AppendOutcome.Committed>(await _store.AppendAsync(Unit(claimed), default));
        Beat(LeaseTimes.TimeToLive, b);
        await ClaimAsync(run, b);

        _store.Restore(snapshot);

        Assert.Equal(claimed, await _store.FindAsync(run, default));
        Assert.Equal(2, (await _store.ReadJournalAsync(run, 0, 10, default)).Count);
        Assert.Empty(await _store.FindClaimableAsync(b, 10, default));
        Assert.Equal(RenewOutcome.Renewed, _store.Renew(a));
        Assert.IsType<AppendOutcome.Committed>(await _store.AppendAsync(Unit(claimed), default));
    }

    [Fact]
    public async Task Faults_come_before_a_write_and_after_its_commit()
    {
        var faults = new Faults();
        var store = new MemoryStore(_clock, shared: true, faults);
        var node = new NodeId(_ids.NextRandom());
        await store.RegisterAsync(new NodeRegistration(node, "h", "b", 1, 2), default);
        var run = new RunId(_ids.NextRun());

        faults.Before = operation => operation == "create" ? new InvalidOperationException("lost on the way") : null;
        await Assert.ThrowsAsync<InvalidOperationException>(() => store.CreateAsync(NewRun(run), default));
        Assert.Null(await store.FindAsync(run, default));

        faults.Before = _ => null;
        faults.After = operation => operation == "create" ? new InvalidOperationException("the answer is lost") : null;
        await Assert.ThrowsAsync<InvalidOperationException>(() => store.CreateAsync(NewRun(run), default));
        Assert.NotNull(await store.FindAsync(run, default));

        faults.Before = operation => operation == "renew" ? new InvalidOperationException("a stall") : null;
        Assert.True(Assert.Throws<CaissonException>(() => store.Renew(node)).IsTransient);
        Assert.Equal(["register", "create", "create", "renew"], faults.Operations);
    }

    [Fact]
    public async Task Without_faults_every_write_is_complete_when_it_returns()
    {
        var node = await RegisterAsync();
        var run = new RunId(_ids.NextRun());

        Assert.True(_store.CreateAsync(NewRun(run), default).IsCompletedSuccessfully);
        Assert.True(_store.ClaimAsync(run, node, default).IsCompletedSuccessfully);
        Assert.True(_store.FindAsync(run, default).IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Blobs_are_kept_under_the_same_addresses_as_files()
    {
        using var folder = new Sqlite.TempFolder();
        var key = new byte[32];
        var files = new Storage.Sqlite.Blobs.FileBlobStore(folder.Path, key);
        var blobs = new MemoryBlobs(key);

        var addresses = await blobs.PutAsync(["a"u8.ToArray(), "b"u8.ToArray(), "a"u8.ToArray()], default);

        Assert.Equal([files.AddressOf("a"u8), files.AddressOf("b"u8), files.AddressOf("a"u8)], addresses);
        Assert.Equal(2, blobs.Count);
        Assert.Equal("b"u8.ToArray(), (await blobs.GetAsync(addresses[1], default))!.Value.ToArray());
        Assert.True(blobs.Remove(addresses[1]));
        Assert.Null(await blobs.GetAsync(addresses[1], default));
    }

    private async Task<NodeId> RegisterAsync()
    {
        var node = new NodeId(_ids.NextRandom());
        await _store.RegisterAsync(new NodeRegistration(node, "host", "boot", 1, 2), default);
        return node;
    }

    /// <summary>Time goes by, and these nodes live all along.</summary>
    private void Beat(TimeSpan time, params NodeId[] living)
    {
        for (var left = time; left > TimeSpan.Zero; left -= LeaseTimes.Beat)
        {
            _clock.Advance(left < LeaseTimes.Beat ? left : LeaseTimes.Beat);
            foreach (var node in living)
                _store.Renew(node);
        }
    }

    private NewRun NewRun(RunId run) => new(run, "agent", null, "hash", _clock.GetUtcNow(), new JournalDraft(EntryKind.RunCreated, "{}"u8.ToArray()), new RunSummary(), null, null);

    private async Task<RunId> CreateAsync()
    {
        var run = new RunId(_ids.NextRun());
        Assert.IsType<CreateOutcome.Created>(await _store.CreateAsync(NewRun(run), default));
        return run;
    }

    private async Task<RunRecord> ClaimAsync(RunId run, NodeId node) => Assert.IsType<ClaimOutcome.Claimed>(await _store.ClaimAsync(run, node, default)).Run;

    private ChangeSet Unit(RunRecord run) => new(
        run.Id, new Fence(run.Owner!.Value, run.Epoch), _ids.NextRandom(), run.LastSeq + 1, _clock.GetUtcNow(), [new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray())],
        new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, null, false, run.Summary), [], []);

    private sealed class Faults : IStoreFaults
    {
        internal List<string> Operations { get; } = [];

        internal Func<string, Exception?> Before { get; set; } = _ => null;

        internal Func<string, Exception?> After { get; set; } = _ => null;

        public ValueTask BeforeAsync(string operation, RunId? run)
        {
            Operations.Add(operation);
            return Before(operation) is { } fault ? ValueTask.FromException(fault) : default;
        }

        public ValueTask AfterCommitAsync(string operation, RunId? run) => After(operation) is { } fault ? ValueTask.FromException(fault) : default;
    }
}
