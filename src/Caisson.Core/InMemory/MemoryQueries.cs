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

    /// <summary>
    /// Runs of dead owners come first, those at work before all: a backlog of new ones must not make them wait. Then those
    /// due, earliest first, but a tenant's second one only after every tenant's first.
    /// </summary>
    internal static IReadOnlyList<RunId> Claimable(this MemoryState state, DateTimeOffset now, int limit)
    {
        now = MemoryState.Ms(now);
        var live = state.Runs.Values.Where(r => !r.Record.Status.IsFinal()).ToList();
        var orphans = live.Where(r => r.Record.Owner is { } owner && !state.IsAlive(owner))
            .OrderBy(r => r.Record.Status != RunStatus.Running).ThenBy(r => r.Row);
        var due = live.Where(r => r.Record.Owner is null && r.Record.DueAt <= now)
            .GroupBy(r => r.Record.Tenant, StringComparer.Ordinal)
            .SelectMany(tenant => tenant.OrderBy(r => r.Record.DueAt).ThenBy(r => r.Row).Select((run, turn) => (run, turn)))
            .OrderBy(r => r.turn).ThenBy(r => r.run.Record.DueAt).ThenBy(r => r.run.Row).Select(r => r.run);
        return [.. orphans.Concat(due).Take(limit).Select(r => r.Id)];
    }

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
        [.. state.Runs.Values.Where(r => r.Record.EndedAt < MemoryState.Ms(before)).OrderBy(r => r.Record.EndedAt).ThenBy(r => r.Row).Take(limit).Select(r => r.Id)];

    internal static IReadOnlyList<BlobReference> References(this MemoryState state) =>
        [.. state.Runs.Values.SelectMany(r => r.Journal).SelectMany(e => JournalReferences.Of(e.Entry)),
            .. state.Runs.Values.Select(r => r.Record.Summary.WorkspaceRoot).OfType<string>().Select(root => new BlobReference(root, IsTree: true))];
}
