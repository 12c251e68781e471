using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>
/// A store without a disk, for the deterministic simulation: engines in one thread share it, each write is one step from
/// one immutable state to the next, and every task it answers is complete unless a fault was asked for. Nothing in it
/// depends on hashes, dice or any clock but the one it was given.
/// </summary>
/// <param name="shared">Whether several nodes live on it: then registering declares nobody dead, and nodes judge each other by their beats.</param>
internal sealed class MemoryStore(TimeProvider clock, bool shared = false, IStoreFaults? faults = null)
    : IRunStore, IRunReader, INodeStore, IBudgetStore, IScheduleStore, IRetentionStore, IUnconfirmedEnds, IKillSwitchStore, ISnapshotStore, IEventStore
{
    private readonly Lock _lock = new();
    private MemoryState _state = MemoryState.Empty;

    /// <summary>The state as it is, for <see cref="Restore"/>.</summary>
    internal MemoryState Snapshot()
    {
        lock (_lock)
            return _state;
    }

    /// <summary>Puts an earlier state back, as a restored backup or a disk that lost its tail does. All leases begin anew.</summary>
    internal void Restore(MemoryState snapshot)
    {
        lock (_lock)
            _state = NodeUnits.Refresh(snapshot, clock.GetTimestamp());
    }

    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) =>
        WriteAsync("create", run.Id, state => RunUnits.Create(state, run));

    public Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) =>
        WriteAsync("claim", run, state => RunUnits.Claim(Judged(state, node), run, node, clock.GetUtcNow()));

    public Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken) =>
        WriteAsync("append", unit.Run, state => RunUnits.Append(state, unit, clock.GetUtcNow()));

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) =>
        WriteAsync("post", input.Run, state => RunUnits.Post(state, input, clock.GetUtcNow()));

    public Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) =>
        ReadAsync(state => state.Find(run) is { } found ? state.Show(found) : null, cancellationToken);

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) => ReadAsync(state => state.List(filter), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) => ReadAsync(state => state.Prefixed(prefix, limit), cancellationToken);

    public Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken) =>
        ReadAsync(state => state.Keys.TryGetValue(key, out var row) ? new KeyedRun(state.Runs[row].Id, state.Runs[row].RequestHash) : null, cancellationToken);

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) =>
        ReadAsync(state => state.Journal(run, afterSeq, limit), cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        ReadAsync(IReadOnlyList<InboxInput> (state) => state.Find(run) is { } found ? [.. found.Inbox.Take(limit)] : [], cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken) =>
        JudgeAsync(node, state => state.Claimable(clock.GetUtcNow(), limit), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken) =>
        JudgeAsync(node, state => state.ClaimableChildren(clock.GetUtcNow(), limit), cancellationToken);

    private Task<IReadOnlyList<RunId>> JudgeAsync(NodeId node, Func<MemoryState, IReadOnlyList<RunId>> read, CancellationToken cancellationToken)
    {
        // Whom the beats show to be dead is dead from here on: otherwise it could wake up between this look and the claim.
        lock (_lock)
            _state = Judged(_state, node);
        return ReadAsync(read, cancellationToken);
    }

    public Task<IReadOnlyList<RunEvent>> ReadEventsAsync(RunId run, CancellationToken cancellationToken) => ReadAsync(state => state.Find(run)?.Events ?? [], cancellationToken);

    public Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) => ReadAsync(state => state.NextDue(), cancellationToken);

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) => ReadAsync(state => state.Suspects(limit), cancellationToken);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) => ReadAsync(state => state.Owned(node), cancellationToken);

    public Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) =>
        WriteAsync("register", null, state => (NodeUnits.Register(state, node, shared, clock.GetTimestamp()), true));

    /// <summary>Answers at once, as the lease's thread needs it: a fault can fail it, and one that would delay it fails it too.</summary>
    public RenewOutcome Renew(NodeId node)
    {
        Pass(faults?.BeforeAsync("renew", null) ?? default);
        var outcome = Commit(state => NodeUnits.Renew(state, node, clock, clock.GetTimestamp()));
        Pass(faults?.AfterCommitAsync("renew", null) ?? default);
        return outcome;

        static void Pass(ValueTask fault)
        {
            if (!fault.IsCompletedSuccessfully)
                throw new CaissonException(ErrorCodes.StorageFailed, "the store does not answer", isTransient: true);
        }
    }

    public Task RetireAsync(NodeId node, CancellationToken cancellationToken) => WriteAsync("retire", null, state => (NodeUnits.Retire(state, node), true));

    public Task<IReadOnlyList<BudgetRow>> ReadBudgetAsync(string node, CancellationToken cancellationToken) => ReadAsync(state => state.Budget(node), cancellationToken);

    public Task SetCapAsync(string node, LimitDimension dimension, long? cap, CancellationToken cancellationToken)
    {
        if (BudgetNodes.RunOf(node) is { } run && Snapshot().Find(run) is not { Record.Status: RunStatus.Completed or RunStatus.Failed or RunStatus.Cancelled })
            throw BudgetNodes.CapOfLiveRun(run);
        return WriteAsync("set_cap", null, state => (state with { Ledger = state.Ledger.SetCap(node, dimension, cap, () => RunUnits.HeldBelow(state, node, dimension)) }, true));
    }

    public Task<IReadOnlyList<WasteRow>> ReadWasteAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        ReadAsync(IReadOnlyList<WasteRow> (state) => [.. state.Ledger.Waste.Where(w => w.Run == run).Take(limit)], cancellationToken);

    public Task<ScheduleRecord?> PutScheduleAsync(NewSchedule schedule, CancellationToken cancellationToken) => WriteAsync("put_schedule", null, state => ScheduleUnits.Put(state, schedule));

    public Task<bool> RemoveScheduleAsync(string name, CancellationToken cancellationToken) =>
        WriteAsync("remove_schedule", null, state => (state with { Schedules = state.Schedules.Remove(name) }, state.Schedules.ContainsKey(name)));

    public Task<IReadOnlyList<ScheduleRecord>> ListSchedulesAsync(CancellationToken cancellationToken) =>
        ReadAsync(IReadOnlyList<ScheduleRecord> (state) => [.. state.Schedules.Values], cancellationToken);

    public Task<IReadOnlyList<ScheduleRecord>> FindDueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        ReadAsync(state => state.DueSchedules(now, limit), cancellationToken);

    public Task<bool> FireAsync(ScheduleFire fire, CancellationToken cancellationToken) =>
        WriteAsync("fire", fire.Run?.Id, state => ScheduleUnits.Fire(state, fire, clock.GetUtcNow()));

    public Task<ReadOnlyMemory<byte>> ReadKillSwitchAsync(CancellationToken cancellationToken) => ReadAsync(state => state.KillSwitch, cancellationToken);

    public Task<bool> ReplaceKillSwitchAsync(ReadOnlyMemory<byte> read, ReadOnlyMemory<byte> value, CancellationToken cancellationToken) =>
        WriteAsync("kill_switch", null, state => state.KillSwitch.Span.SequenceEqual(read.Span) ? (state with { KillSwitch = value.ToArray() }, true) : (state, false));

    public Task<IReadOnlyList<RunId>> FindEndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => ReadAsync(state => state.Ended(before, limit), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindUnconfirmedAsync(int limit, CancellationToken cancellationToken) =>
        ReadAsync(IReadOnlyList<RunId> (state) => [.. state.Runs.Values.Where(r => r.Record is { Summary.Unconfirmed: true } && r.Record.Status.IsFinal()).Take(limit).Select(r => r.Id)], cancellationToken);

    public Task<bool> ConfirmEndAsync(RunId run, CancellationToken cancellationToken) => WriteAsync("confirm_end", run, state => RunUnits.ConfirmEnd(state, run));

    public Task<bool> DeleteRunAsync(RunId run, CancellationToken cancellationToken) => WriteAsync("delete_run", run, state => ScheduleUnits.Delete(state, run, clock.GetUtcNow()));

    public Task AddSnapshotAsync(SnapshotRecord snapshot, CancellationToken cancellationToken) =>
        WriteAsync("add_snapshot", null, state => (state with { Snapshots = state.Snapshots.Add(snapshot with { At = MemoryState.Ms(snapshot.At) }) }, true));

    public Task<bool> RemoveSnapshotAsync(string id, CancellationToken cancellationToken) =>
        WriteAsync("remove_snapshot", null, state => (state with { Snapshots = state.Snapshots.RemoveAll(s => s.Id == id) }, state.Snapshots.Exists(s => s.Id == id)));

    public Task<IReadOnlyList<SnapshotRecord>> ListSnapshotsAsync(CancellationToken cancellationToken) => ReadAsync(IReadOnlyList<SnapshotRecord> (state) => state.Snapshots, cancellationToken);

    public IAsyncEnumerable<BlobReference> ReadReferencesAsync(CancellationToken cancellationToken) => Snapshot().References().ToAsyncEnumerable();

    private MemoryState Judged(MemoryState state, NodeId judge) => shared ? NodeUnits.Judge(state, judge, clock, clock.GetTimestamp()) : state;

    private Task<T> ReadAsync<T>(Func<MemoryState, T> read, CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested ? Task.FromCanceled<T>(cancellationToken) : Task.FromResult(read(Snapshot()));

    private Task<T> WriteAsync<T>(string operation, RunId? run, Func<MemoryState, (MemoryState, T)> unit) =>
        faults is null ? Task.FromResult(Commit(unit)) : WriteAsync(faults, operation, run, unit);

    private async Task<T> WriteAsync<T>(IStoreFaults faults, string operation, RunId? run, Func<MemoryState, (MemoryState, T)> unit)
    {
        await faults.BeforeAsync(operation, run);
        var outcome = Commit(unit);
        await faults.AfterCommitAsync(operation, run);
        return outcome;
    }

    private T Commit<T>(Func<MemoryState, (MemoryState, T)> unit)
    {
        lock (_lock)
        {
            (_state, var outcome) = unit(_state);
            return outcome;
        }
    }
}
