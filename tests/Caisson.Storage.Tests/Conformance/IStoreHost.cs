using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>A store under test.</summary>
public interface IStoreHost : IAsyncDisposable
{
    IRunStore Store { get; }

    IRunReader Reader { get; }

    INodeStore Nodes { get; }

    IBudgetStore Budgets { get; }

    IScheduleStore Schedules { get; }

    IRetentionStore Retention { get; }

    IUnconfirmedEnds Unconfirmed { get; }

    IKillSwitchStore KillSwitch { get; }

    IEventStore Events { get; }

    ISnapshotStore Snapshots { get; }

    /// <summary>Closes the store and opens it again, as the next process does.</summary>
    Task ReopenAsync();
}
