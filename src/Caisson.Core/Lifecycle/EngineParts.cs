using Caisson.Core.Agents;
using Caisson.Core.Blobs;
using Caisson.Core.Egress;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>What an engine is put together from.</summary>
public sealed class EngineParts
{
    public required IRunStore Store { get; init; }
    public required IRunReader Reader { get; init; }
    public required INodeStore Nodes { get; init; }
    public required IBudgetStore Budgets { get; init; }
    public required IBlobStore Blobs { get; init; }
    public required IModels Models { get; init; }
    public required IReadOnlyList<ISandboxProvider> Sandboxes { get; init; }
    public required IReadOnlyDictionary<string, IAgent> CodeAgents { get; init; }
    public required AgentBuilds Builds { get; init; }
    public required NewRuns NewRuns { get; init; }
    public required RunSignals Signals { get; init; }
    public required TimeProvider Clock { get; init; }
    public required IIdSource Ids { get; init; }
    public required Random Random { get; init; }
    public required ILoggerFactory Logs { get; init; }

    /// <summary>Where runs are told that ended before their boxes were confirmed gone. Default: nowhere, such an end stays unconfirmed.</summary>
    public IUnconfirmedEnds? Unconfirmed { get; init; }

    /// <summary>Makes the ways out of boxes. Default: no box has any.</summary>
    public IBoxEgress? Egress { get; init; }

    /// <summary>Serves the calls of process agents. Default: there are none.</summary>
    public Processes.IProcessGateway? Processes { get; init; }

    /// <summary>Where decisions about egress are read again. Default: bytes of earlier owners are not counted.</summary>
    public IEventStore? Events { get; init; }

    /// <summary>Makes what is kept of an ended run's files. Default: nobody does, and all of them are kept.</summary>
    public IWorkspaceStore? Workspaces { get; init; }

    /// <summary>Default: nothing is ever stopped.</summary>
    public Budgets.KillSwitches? Kills { get; init; }

    /// <summary>Default: always admits.</summary>
    public IAdmission? Admission { get; init; }

    /// <summary>Where the engine's work runs. Default: the thread pool. With one of its own, the lease is kept from timers there instead of from a thread.</summary>
    public TaskScheduler? Scheduler { get; init; }

    /// <summary>Default: this process.</summary>
    public NodeRegistration? Self { get; init; }
}

internal sealed class OpenDoor : IAdmission
{
    internal static readonly OpenDoor Instance = new();

    public string? Refusal => null;
}
