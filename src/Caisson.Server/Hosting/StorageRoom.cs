using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Retention;
using Caisson.Sandboxes.Workspaces;
using Caisson.Server.Configuration;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Sqlite.Disk;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Hosting;

/// <summary>What looks after the data directory while a server uses it: its disk, its log, and the end of what is old.</summary>
internal sealed class StorageRoom : IAsyncDisposable
{
    private readonly DiskGuard _disk;
    private readonly WalGauge _log;
    private readonly RetentionKeeper _retention;
    private readonly CancellationTokenSource _stop = new();
    private Task _keeping = Task.CompletedTask;

    internal StorageRoom(StorageOptions options, SqliteStore store, FileBlobStore blobs, TimeProvider clock, ILoggerFactory logs)
    {
        _disk = new DiskGuard(store.DataDirectory, new DiskGuardOptions { MinFree = options.MinFree, Ballast = options.Ballast }, clock, logs.CreateLogger<DiskGuard>());
        _log = new WalGauge(store.Database);
        _retention = new RetentionKeeper(new RetentionOptions { KeepEnded = options.KeepEnded, SweepEvery = options.SweepEvery },
            store, blobs, new WorkspaceTrees(), clock, logs.CreateLogger<RetentionKeeper>());
        Admission = new Admissions([_disk, _log]);
        Faulted = FaultedAsync(store.Faulted, blobs.Faulted);
    }

    internal IAdmission Admission { get; }

    /// <summary>Fails when the disk did: the process must exit and be started again.</summary>
    internal Task Faulted { get; }

    /// <summary>Begins to remove what is old.</summary>
    internal void Start() => _keeping = _retention.RunAsync(_stop.Token);

    private async Task FaultedAsync(Task database, Task blobs)
    {
        try
        {
            await await Task.WhenAny(database, blobs);
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DiskFull)
        {
            // The next process needs some space to say what became of the runs.
            _disk.SpaceRanOut();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _keeping;
        _stop.Dispose();
        _disk.Dispose();
        _log.Dispose();
    }
}
