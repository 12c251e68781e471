using System.Collections.Immutable;
using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>Schedules, and what retention removes. Pure.</summary>
internal static class ScheduleUnits
{
    internal static (MemoryState State, ScheduleRecord? Record) Put(MemoryState state, NewSchedule schedule)
    {
        var before = state.Schedules.GetValueOrDefault(schedule.Name);
        if (schedule.Stands is { } stands && (stands.Generation, stands.Next?.ToUnixTimeMilliseconds()) != (before?.Generation ?? 0, before?.Next?.ToUnixTimeMilliseconds()))
            return (state, null);
        var next = schedule.Next is { } at ? MemoryState.Ms(at) : (DateTimeOffset?)null;
        var record = new ScheduleRecord(schedule.Name, schedule.Uid, (before?.Generation ?? 0) + 1, schedule.Definition.ToArray(),
            before?.CreatedAt ?? MemoryState.Ms(schedule.At), next, schedule.Paused, before?.LastRun, before?.LastAt);
        return (state with { Schedules = state.Schedules.SetItem(schedule.Name, record) }, record);
    }

    internal static (MemoryState State, bool Fired) Fire(MemoryState state, ScheduleFire fire, DateTimeOffset now)
    {
        if (!state.Schedules.TryGetValue(fire.Name, out var schedule) || schedule.Paused || schedule.Generation != fire.Generation || schedule.Next != MemoryState.Ms(fire.From))
            return (state, false);
        schedule = schedule with { Next = fire.To is { } to ? MemoryState.Ms(to) : null };
        if (fire.Run is { } run)
        {
            (state, var created) = RunUnits.Create(state, run);
            schedule = schedule with { LastRun = Known(created) ?? run.Id, LastAt = MemoryState.Ms(fire.From) };
        }

        foreach (var post in fire.Posts)
            state = RunUnits.Post(state, post, now).State;
        return (state with { Schedules = state.Schedules.SetItem(fire.Name, schedule) }, true);
    }

    internal static (MemoryState State, bool Deleted) Delete(MemoryState state, RunId id, DateTimeOffset now)
    {
        if (state.Find(id) is not { } run || !run.Record.Status.IsFinal() || state.IsForked(id))
            return (state, false);
        var ledger = state.Ledger;

        // What nobody settled would be held for ever on the nodes above.
        foreach (var key in run.Holds.Keys)
            (run, ledger) = RunUnits.Doubt(run, ledger, key, "deleted", now);
        return (state with
        {
            Runs = state.Runs.Remove(run.Row),
            Rows = state.Rows.Remove(id),
            Keys = run.Key is { } taken ? state.Keys.Remove(taken) : state.Keys,
            Ledger = ledger with { Nodes = ledger.Nodes.Remove(run.Path[^1]), Waste = ledger.Waste.RemoveAll(w => w.Run == id) },
        }, true);
    }

    private static RunId? Known(CreateOutcome outcome) => outcome switch
    {
        CreateOutcome.Existing existing => existing.Run,
        CreateOutcome.KeyMismatch mismatch => mismatch.Run,
        _ => null,
    };
}
