using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>What is read of a state. Pure.</summary>
internal static class MemoryQueries
{
    internal static IReadOnlyList<RunRecord> List(this MemoryState state, RunFilter filter)
    {
        long? before = filter.Before is { } id ? state.Rows.TryGetValue(id, out var row) ? row : 0 : null;
        return [.. state.Runs.Values.Reverse()
            .Where(r => before is null || r.Row < before)
            .Where(r => filter.Statuses is not { Count: > 0 } statuses || statuses.Contains(r.Record.Status))
            .Where(r => filter.Agent is null || r.Record.Agent == filter.Agent)
            .Take(filter.Limit).Select(state.Show)];
    }

    internal static IReadOnlyList<RunId> Prefixed(this MemoryState state, string prefix, int limit) =>
        [.. state.Runs.Values.Select(r => r.Id).Where(id => id.ToString().StartsWith(prefix, StringComparison.Ordinal)).Order().Take(limit)];

    internal static IReadOnlyList<JournalEntry> Journal(this MemoryState state, RunId run, long afterSeq, int limit) =>
        state.Find(run) is { } found ? [.. found.Journal.Skip((int)Math.Clamp(afterSeq, 0, found.Journal.Count)).Take(limit).Select(e => e.Entry)] : [];

    internal static IReadOnlyList<RunId> Claimable(this MemoryState state, DateTimeOffset now, int limit)
    {
        var orphans = state.Orphans().Take(limit).Select(r => r.Id).ToList();
        var room = limit - orphans.Count;
        var due = InTurns(state.Due(now), r => (r.Record.DueAt, r.Row));
        return [.. orphans, .. ClaimOrder.Merge([.. state.DueBelow(now).Take(ClaimOrder.ShareBelow(room)).Select(r => r.Id)], [.. due.Take(room).Select(r => r.Id)], room)];
    }

    internal static IReadOnlyList<RunId> ClaimableChildren(this MemoryState state, DateTimeOffset now, int limit) =>
        [.. state.Orphans(r => r.Record.Depth > 0).Concat(state.DueBelow(now)).Take(limit).Select(r => r.Id)];

    private static IEnumerable<MemoryRun> Live(this MemoryState state) => state.Runs.Values.Where(r => !r.Record.Status.IsFinal() && r.Record.MinEngine <= EngineVersion.Level);

    private static IEnumerable<MemoryRun> Orphans(this MemoryState state, Func<MemoryRun, bool>? which = null) =>
        state.Live().Where(r => r.Record.Owner is { } owner && !state.IsAlive(owner) && which?.Invoke(r) != false)
            .GroupBy(r => (Idle: r.Record.Status != RunStatus.Running, CallsNoModel: r.Holds.IsEmpty))
            .OrderBy(group => group.Key).SelectMany(group => InTurns(group.OrderBy(r => r.Row), r => r.Row));

    private static IEnumerable<MemoryRun> Due(this MemoryState state, DateTimeOffset now) =>
        state.Live().Where(r => r.Record.Owner is null && r.Record.DueAt <= MemoryState.Ms(now)).OrderBy(r => r.Record.DueAt).ThenBy(r => r.Row);

    private static IEnumerable<MemoryRun> DueBelow(this MemoryState state, DateTimeOffset now) =>
        InTurns(state.Due(now).Where(r => r.Record.Depth > 0).OrderByDescending(r => r.Record.Depth), r => (-r.Record.Depth, r.Record.DueAt, r.Row));

    /// <summary>A tenant's second one only after every tenant's first.</summary>
    private static IEnumerable<MemoryRun> InTurns<T>(IEnumerable<MemoryRun> ordered, Func<MemoryRun, T> order) =>
        ordered.GroupBy(r => r.Record.Tenant, StringComparer.Ordinal).SelectMany(tenant => tenant.Select((run, turn) => (run, turn)))
            .OrderBy(r => r.turn).ThenBy(r => order(r.run)).Select(r => r.run);

    internal static DateTimeOffset? NextDue(this MemoryState state) => state.Runs.Values.Where(r => r.Record.Owner is null).Min(r => r.Record.DueAt);

    internal static IReadOnlyList<OwnedRun> Owned(this MemoryState state, NodeId node) =>
        [.. state.Runs.Values.Where(r => r.Record.Owner == node).Select(r => new OwnedRun(r.Id, !r.Inbox.IsEmpty))];

    internal static IReadOnlyList<(RunId Run, int Suspicion)> Suspects(this MemoryState state, int limit) =>
        [.. state.Runs.Values.Where(r => r.Record.Suspicion > 0 && r.Record.Status is RunStatus.Ready or RunStatus.Running)
            .OrderByDescending(r => r.Record.Suspicion).ThenBy(r => r.Id).Take(limit).Select(r => (r.Id, r.Record.Suspicion))];

    internal static IReadOnlyList<BudgetRow> Budget(this MemoryState state, string node) =>
        [.. state.Ledger.Of(node).Select(row => new BudgetRow(node, row.Key, row.Value))];

    internal static IReadOnlyList<ScheduleRecord> DueSchedules(this MemoryState state, DateTimeOffset now, int limit) =>
        [.. state.Schedules.Values.Where(s => !s.Paused && s.Next <= MemoryState.Ms(now)).OrderBy(s => s.Next).ThenBy(s => s.Name, StringComparer.Ordinal).Take(limit)];

    internal static IReadOnlyList<RunId> Ended(this MemoryState state, DateTimeOffset before, int limit) =>
        [.. state.Runs.Values.Where(r => r.Record.EndedAt < MemoryState.Ms(before) && !state.IsForked(r.Id)).OrderBy(r => r.Record.EndedAt).ThenBy(r => r.Row).Take(limit).Select(r => r.Id)];

    /// <summary>Whether a live fork needs its records and its budget.</summary>
    internal static bool IsForked(this MemoryState state, RunId run) => state.Runs.Values.Any(r => r.Record.Origin == run && !r.Record.Status.IsFinal());

    internal static IReadOnlyList<BlobReference> References(this MemoryState state) =>
        [.. state.Runs.Values.SelectMany(r => r.Journal.SelectMany(e => JournalReferences.Of(e.Entry, pruned: r.Record.Summary.Kept is not null))),
            .. state.Runs.Values.SelectMany(r => r.Record.Summary.Roots()).Select(root => new BlobReference(root, IsTree: true)),
            .. state.Snapshots.Select(s => new BlobReference(s.Root, IsTree: true))];
}
