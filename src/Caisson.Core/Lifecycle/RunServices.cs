using Caisson.Core.Blobs;
using Caisson.Core.Egress;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>What every ownership of a run works with.</summary>
internal sealed record RunServices(IRunStore Store, IRunReader Reader, IBlobStore Blobs, RunSignals Signals, TimeProvider Clock, IIdSource Ids)
{
    internal required EngineTasks Tasks { get; init; }
    internal required Budgets.KillSwitches? Kills { get; init; }
    internal required IAdmission Admission { get; init; }
    internal required IModels Models { get; init; }
    internal required BoxReaping Reaping { get; init; }
    internal required IReadOnlyList<ISandboxProvider> Sandboxes { get; init; }
    internal required IReadOnlyDictionary<string, Agents.IAgent> CodeAgents { get; init; }
    internal required AgentBuilds Builds { get; init; }
    internal required Spawner Spawner { get; init; }
    internal required TreeLedger Tree { get; init; }
    internal required Budgets.HoldLines Lines { get; init; }
    /// <summary>Makes the ways out of boxes; <c>null</c>: there are none.</summary>
    internal required IBoxEgress? Egress { get; init; }
    /// <summary>Serves programs' calls; <c>null</c>: there are no process agents.</summary>
    internal required Processes.IProcessGateway? Processes { get; init; }
    internal required IEventStore? Events { get; init; }
    internal required IWorkspaceStore? Workspaces { get; init; }
    internal required Func<double> Dice { get; init; }
    internal required EngineOptions Options { get; init; }

    private int _heldBack;

    /// <summary>A turn has something to begin and was refused: it looks again when somebody nudges it.</summary>
    internal void HoldBack() => Volatile.Write(ref _heldBack, 1);

    /// <summary>Whether a turn was held back since the last call.</summary>
    internal bool TakeHeldBack() => Interlocked.Exchange(ref _heldBack, 0) == 1;
}
