using Caisson.Core.InMemory;
using Caisson.Core.Stores;
using Caisson.Storage.Tests.Conformance;

namespace Caisson.Storage.Tests.InMemory;

public sealed class MemoryStoreConformanceTests : RunStoreConformance
{
    protected override Task<IStoreHost> OpenAsync(TimeProvider clock) => Task.FromResult<IStoreHost>(new Host(new MemoryStore(clock)));

    private sealed class Host(MemoryStore store) : IStoreHost
    {
        public IRunStore Store => store;

        public IRunReader Reader => store;

        public INodeStore Nodes => store;

        public IBudgetStore Budgets => store;

        public IScheduleStore Schedules => store;

        public IRetentionStore Retention => store;

        public IUnconfirmedEnds Unconfirmed => store;

        public IKillSwitchStore KillSwitch => store;

        public IEventStore Events => store;

        public ISnapshotStore Snapshots => store;

        /// <summary>What is in memory stays there.</summary>
        public Task ReopenAsync()
        {
            store.Restore(store.Snapshot());
            return Task.CompletedTask;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
