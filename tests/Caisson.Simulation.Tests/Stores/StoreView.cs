using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Stores;

/// <summary>What one process has of the store: every call goes over the wire.</summary>
internal sealed class StoreView(StoreHub hub, SimProcess process) : IRunStore, IRunReader, INodeStore, IBudgetStore, IScheduleStore
{
    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) => Write("create", run.Id, run, () => hub.Store.CreateAsync(run, default));

    public Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) => Write("claim", run, node, () => hub.Store.ClaimAsync(run, node, default));

    public Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken) => Write("append", unit.Run, unit, () => hub.Store.AppendAsync(hub.Broken.Bend(unit), default));

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => Write("post", input.Run, input, () => hub.Store.PostAsync(input, default));

    public Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) => Read(() => hub.Store.FindAsync(run, default), cancellationToken);

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) => Read(() => hub.Store.ListAsync(filter, default), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.FindByPrefixAsync(prefix, limit, default), cancellationToken);

    public Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken) =>
        Read(() => hub.Store.FindByKeyAsync(key, default), cancellationToken);

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.ReadJournalAsync(run, afterSeq, limit, default), cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.ReadInboxAsync(run, limit, default), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.FindClaimableAsync(node, limit, default), cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.FindClaimableChildrenAsync(node, limit, default), cancellationToken);

    public Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) => Read(() => hub.Store.NextDueAsync(default), cancellationToken);

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.ListSuspectsAsync(limit, default), cancellationToken);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) => Read(() => hub.Store.ListOwnedAsync(node, default), cancellationToken);

    public Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) => Write("register", null, node, () => Done(hub.Store.RegisterAsync(node, default)));

    public RenewOutcome Renew(NodeId node) => hub.Renew(process, node);

    public Task RetireAsync(NodeId node, CancellationToken cancellationToken) => Write("retire", null, node, () => Done(hub.Store.RetireAsync(node, default)));

    public Task<IReadOnlyList<BudgetRow>> ReadBudgetAsync(string node, CancellationToken cancellationToken) => Read(() => hub.Store.ReadBudgetAsync(node, default), cancellationToken);

    public Task SetCapAsync(string node, LimitDimension dimension, long? cap, CancellationToken cancellationToken) =>
        Write("set_cap", null, node, () => Done(hub.Store.SetCapAsync(node, dimension, cap, default)));

    public Task<IReadOnlyList<WasteRow>> ReadWasteAsync(RunId run, int limit, CancellationToken cancellationToken) => Read(() => hub.Store.ReadWasteAsync(run, limit, default), cancellationToken);

    public Task<ScheduleRecord?> PutScheduleAsync(NewSchedule schedule, CancellationToken cancellationToken) =>
        Write("put_schedule", null, schedule, () => hub.Store.PutScheduleAsync(schedule, default));

    public Task<bool> RemoveScheduleAsync(string name, CancellationToken cancellationToken) => Write("remove_schedule", null, name, () => hub.Store.RemoveScheduleAsync(name, default));

    public Task<IReadOnlyList<ScheduleRecord>> ListSchedulesAsync(CancellationToken cancellationToken) => Read(() => hub.Store.ListSchedulesAsync(default), cancellationToken);

    public Task<IReadOnlyList<ScheduleRecord>> FindDueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        Read(() => hub.Store.FindDueSchedulesAsync(now, limit, default), cancellationToken);

    public Task<bool> FireAsync(ScheduleFire fire, CancellationToken cancellationToken) => Write("fire", fire.Run?.Id, fire, () => hub.Store.FireAsync(hub.Broken.Bend(fire), default));

    private static async Task<bool> Done(Task task)
    {
        await task;
        return true;
    }

    private Task<T> Write<T>(string operation, RunId? run, object request, Func<Task<T>> call) => hub.WriteAsync(process, operation, run, request, call);

    private Task<T> Read<T>(Func<Task<T>> call, CancellationToken cancellationToken) => hub.ReadAsync(process, call, cancellationToken);
}
