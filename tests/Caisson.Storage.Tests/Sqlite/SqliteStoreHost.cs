using Caisson.Core.Stores;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Tests.Conformance;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.Sqlite;

internal sealed class SqliteStoreHost(TimeProvider clock, string? keyFile = null) : IStoreHost
{
    private readonly TempFolder _folder = new();
    private SqliteStore? _store;

    public IRunStore Store => Opened;

    public IRunReader Reader => Opened;

    public INodeStore Nodes => Opened;

    public IBudgetStore Budgets => Opened;

    public IScheduleStore Schedules => Opened;

    public IRetentionStore Retention => Opened;

    public IUnconfirmedEnds Unconfirmed => Opened;

    public IKillSwitchStore KillSwitch => Opened;

    public IEventStore Events => Opened;

    public ISnapshotStore Snapshots => Opened;

    private SqliteStore Opened => _store ??= Open(_folder.Path, clock, keyFile);

    internal static SqliteStore Open(string folder, TimeProvider clock, string? keyFile = null) => SqliteStore.Open(new SqliteOptions { DataDirectory = folder, KeyFile = keyFile }, clock, NullLogger.Instance) switch
    {
        SqliteOpenOutcome.Opened opened => opened.Store,
        SqliteOpenOutcome.Refused refused => throw new Xunit.Sdk.XunitException(refused.Failure.Message),
        _ => throw new InvalidOperationException(),
    };

    public async Task ReopenAsync()
    {
        await Opened.DisposeAsync();
        _store = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_store is { } store)
            await store.DisposeAsync();
        _folder.Dispose();
    }
}
