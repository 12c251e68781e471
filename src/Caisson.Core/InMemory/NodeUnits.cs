using Caisson.Contracts;
using Caisson.Core.Leases;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>
/// Who lives. Pure; <c>now</c> is the store's monotonic time.
/// <para>
/// Of a store that one process holds open, registering is proof that all others are dead. Of a shared one nobody knows,
/// so nodes judge each other by the beat: one that stood still for a lease's length is dead, and stays so. A judge counts
/// only the silence that it was awake for: after a stall of the store, or its own, it looks on for a whole lease first,
/// or the first to wake would declare everybody else dead.
/// </para>
/// </summary>
internal static class NodeUnits
{
    internal static MemoryState Register(MemoryState state, NodeRegistration node, bool shared, long now)
    {
        if (!shared)
        {
            foreach (var (id, other) in state.Nodes.Where(n => !n.Value.Dead))
            {
                if (other.Registration.Boot == node.Boot)
                    state = Suspect(state, id);
                state = state with { Nodes = state.Nodes.SetItem(id, other with { Dead = true }) };
            }
        }

        var owners = state.Runs.Values.Select(r => r.Record.Owner).OfType<NodeId>().ToHashSet();
        return state with { Nodes = state.Nodes.RemoveRange(state.Nodes.Where(n => n.Value.Dead && !owners.Contains(n.Key)).Select(n => n.Key)).Add(node.Id, new MemoryNode(node, now, now, Dead: false)) };
    }

    internal static (MemoryState State, RenewOutcome Outcome) Renew(MemoryState state, NodeId id, TimeProvider clock, long now)
    {
        if (!state.IsAlive(id))
            return (state, RenewOutcome.Fenced);
        var node = state.Nodes[id];
        var gap = clock.GetElapsedTime(node.BeatAt, now) >= LeaseTimes.TimeToLive;
        return (state with { Nodes = state.Nodes.SetItem(id, node with { BeatAt = now, SteadySince = gap ? now : node.SteadySince }) }, RenewOutcome.Renewed);
    }

    internal static MemoryState Retire(MemoryState state, NodeId id) =>
        state.Nodes.TryGetValue(id, out var node) ? state with { Nodes = state.Nodes.SetItem(id, node with { Dead = true }) } : state;

    /// <summary>Marks the nodes dead that <paramref name="judge"/> has seen silent for a lease's length.</summary>
    internal static MemoryState Judge(MemoryState state, NodeId judge, TimeProvider clock, long now)
    {
        if (!state.Nodes.TryGetValue(judge, out var awake) || awake.Dead || clock.GetElapsedTime(awake.BeatAt, now) >= LeaseTimes.TimeToLive)
            return state;
        foreach (var (id, node) in state.Nodes)
        {
            if (id != judge && !node.Dead && clock.GetElapsedTime(Math.Max(node.BeatAt, awake.SteadySince), now) >= LeaseTimes.TimeToLive)
                state = state with { Nodes = state.Nodes.SetItem(id, node with { Dead = true }) };
        }

        return state;
    }

    /// <summary>A state that was put back is as fresh as this moment: the beats in it are of another time.</summary>
    internal static MemoryState Refresh(MemoryState state, long now)
    {
        foreach (var (id, node) in state.Nodes)
            state = state with { Nodes = state.Nodes.SetItem(id, node with { BeatAt = now, SteadySince = now }) };
        return state;
    }

    /// <summary>Its process ended without saying so, on a host that lived on: one of the runs at work may be what killed it.</summary>
    private static MemoryState Suspect(MemoryState state, NodeId crashed)
    {
        var atWork = state.Runs.Values.Where(r => r.Record.Owner == crashed && r.Record.Status == RunStatus.Running).ToList();
        foreach (var run in atWork)
        {
            var record = run.Record;
            state = state.With(run with { Record = record with { Suspicion = record.Suspicion + 1, LoneCrashes = record.LoneCrashes + (atWork.Count == 1 ? 1 : 0) } });
        }

        return state;
    }
}
