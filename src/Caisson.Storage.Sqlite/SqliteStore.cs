using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Disk;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;

namespace Caisson.Storage.Sqlite;

public abstract record SqliteOpenOutcome
{
    public sealed record Opened(SqliteStore Store) : SqliteOpenOutcome;

    /// <summary>Nothing was changed and nothing is locked.</summary>
    public sealed record Refused(Failure Failure) : SqliteOpenOutcome;
}

/// <summary>
/// The embedded store: one SQLite database in one data directory, owned by one process at a time. Write-ahead log with
/// full sync; one writer thread; checkpoints by a second thread, so that no batch pays for them.
/// </summary>
public sealed class SqliteStore : IRunStore, IRunReader, INodeStore, IBudgetStore, IScheduleStore, IRetentionStore, IUnconfirmedEnds, IKillSwitchStore, ISnapshotStore, IEventStore, IAsyncDisposable
{
    private static readonly LogLimits s_log = new(Copy: 8L << 20, Restart: 24L << 20, Shrink: 96L << 20, Reserve: 32L << 20);

    // Only programs of other people, such as a backup, can be in the writer's way.
    private static readonly TimeSpan OthersMayHoldIt = TimeSpan.FromSeconds(30);

    private readonly DataDirectory _directory;
    private readonly TimeProvider _clock;
    private readonly Writer _writer;
    private readonly JournalRows _journal;
    private readonly BudgetWrites _budgets;
    private readonly RunCreation _creation;
    private readonly EventRows _events;
    private readonly SealedColumns _columns;
    private readonly RunWrites _writes;
    private readonly ScheduleWrites _schedules;
    private readonly ReadConnections _readers;
    private readonly Reads _reads;
    private readonly LedgerReads _ledgers;
    private readonly NodeRows _nodes;
    private readonly Checkpointer _checkpointer;
    private readonly SqliteConnection _connection;
    private readonly TenantKeys _keys;
    private readonly string _connectionString;
    private bool _disposed;

    private SqliteStore(DataDirectory directory, string connectionString, TenantKeys keys, TimeProvider clock, ILogger log)
    {
        (_directory, _connectionString, _clock, _keys) = (directory, connectionString, clock, keys);
        var connection = _connection = Connect(connectionString);
        _ = SQLitePCL.raw.sqlite3_busy_timeout(connection.Handle, (int)OthersMayHoldIt.TotalMilliseconds);
        var columns = new SealedColumns(keys.Seal);
        _journal = new JournalRows(connection, columns);
        _budgets = new BudgetWrites(connection);
        _creation = new RunCreation(connection, _journal, _budgets, columns);
        _events = new EventRows(connection, _columns = columns);
        _writes = new RunWrites(connection, _journal, _creation, _budgets, _events, columns, clock);
        _schedules = new ScheduleWrites(connection, _creation, _writes, columns);
        _writer = new Writer(connection, log);
        var reads = _readers = new ReadConnections(connectionString);
        (_reads, _ledgers) = (new Reads(reads, columns, clock), new LedgerReads(reads, columns));
        _nodes = new NodeRows(Connect(connectionString), _writer, clock);
        _checkpointer = new Checkpointer(Connect(connectionString), directory.Database + "-wal", s_log, () => _writer.PagesWritten, _writer.Between, _writer.Fail, clock, log);
    }

    /// <summary>Key of the hashes that name blobs: equal contents of different installations have different names.</summary>
    public ReadOnlyMemory<byte> TenantKey => _keys.AddressKey;

    /// <summary>For content that stands outside of the database; <c>null</c> where nothing is sealed.</summary>
    public ContentSeal? Seal => _keys.Seal;

    /// <summary>
    /// The database was put back to an earlier state: runs that it says are live may have gone on since, elsewhere and
    /// unknown to it. Stays true, over restarts too, until <see cref="SettleRestoredAsync"/>.
    /// </summary>
    public bool Restored { get; private set; }

    /// <summary>The latest time in the journal: no time that is stored from now on may be earlier.</summary>
    public DateTimeOffset LastWritten { get; private init; }

    public string DataDirectory => _directory.Path;

    public string Database => _directory.Database;

    /// <summary>Fails when the disk did: the process must exit and be started again.</summary>
    public Task Faulted => _writer.Faulted;

    public static SqliteOpenOutcome Open(SqliteOptions options, TimeProvider clock, ILogger log) => Storage.Sqlite.DataDirectory.Open(options.DataDirectory) switch
    {
        DirectoryOutcome.Refused refused => new SqliteOpenOutcome.Refused(refused.Failure),
        DirectoryOutcome.Locked locked => Open(locked.Directory, options.KeyFile, clock, log),
        _ => throw new InvalidOperationException("unreachable"),
    };

    private static SqliteOpenOutcome Open(DataDirectory directory, string? keyFile, TimeProvider clock, ILogger log)
    {
        var path = directory.Database;
        try
        {
            // Looked at read-only first: a file of somebody else must stay as it is, to the byte.
            var empty = !File.Exists(path) || new FileInfo(path).Length == 0;
            if (!empty && Schema.Inspect(path) is { } problem)
                return Refuse(directory, problem);
            if (empty && directory.HasBlobs)
                return Refuse(directory, new Failure(ErrorCodes.DatabaseCorrupt, $"{path}: is missing or empty, but blobs of its runs stand beside it: restore the database from a backup, or choose another data directory"));
            var text = new SqliteConnectionStringBuilder { DataSource = path, DefaultTimeout = 30 }.ToString();
            using var connection = Connect(text);
            Schema.Prepare(connection);
            var (keys, unopened) = TenantKeys.Open(connection, path, keyFile);
            if (keys is null)
                return Refuse(directory, unopened!);
            if (Lineage.Begin(connection, directory.Path, out var restored) is { } uncounted)
                return Refuse(directory, uncounted);
            return new SqliteOpenOutcome.Opened(new SqliteStore(directory, text, keys, clock, log) { Restored = restored, LastWritten = LatestEntry(connection) });
        }
        catch (SqliteException problem) when (problem.SqliteErrorCode == 13 && Ballast.ReleaseIn(directory.Path))
        {
            // What is kept back is for exactly this: without it nobody could even pause what runs.
            return Open(directory, keyFile, clock, log);
        }
        catch (SqliteException problem)
        {
            return Refuse(directory, problem.SqliteErrorCode switch
            {
                26 => new Failure(ErrorCodes.DatabaseForeign, $"{path}: this is not a database: choose another data directory, nothing was changed"),
                11 => new Failure(ErrorCodes.DatabaseCorrupt, $"{path}: the database is damaged: restore the data directory from a backup, nothing was changed"),
                13 => new Failure(ErrorCodes.DiskFull, $"{path}: the disk is full: free space, then start the server again"),
                _ => new Failure(ErrorCodes.StorageFailed, $"{path}: cannot be opened: {problem.Message}"),
            });
        }
    }

    public async Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken)
    {
        await _keys.EnsureAsync(run.Tenant, _connection, _writer);
        return await _writer.DoAsync(() => _creation.Create(run));
    }

    public async Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) =>
        await _writer.DoAsync(() => _writes.Claim(run, node)) && await FindAsync(run, cancellationToken) is { } record
            ? new ClaimOutcome.Claimed(record)
            : new ClaimOutcome.NotClaimable();

    public async Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken)
    {
        foreach (var child in unit.Children)
            await _keys.EnsureAsync(child.Tenant, _connection, _writer);
        var summary = RunWrites.Json(unit.State.Summary);
        return await _writer.DoAsync(() => _writes.Append(unit, summary));
    }

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => _writer.DoAsync(() => _writes.Post(input));

    public Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) => _reads.FindAsync(run, cancellationToken);

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) => _reads.ListAsync(filter, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) => _reads.FindByPrefixAsync(prefix, limit, cancellationToken);

    public Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken) => _reads.FindByKeyAsync(key, cancellationToken);

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) => _reads.ReadJournalAsync(run, afterSeq, limit, cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) => _reads.ReadInboxAsync(run, limit, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken) => _reads.FindClaimableAsync(node, limit, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken) => _reads.FindClaimableChildrenAsync(node, limit, cancellationToken);

    public Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) => _reads.NextDueAsync(cancellationToken);

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) => _reads.ListSuspectsAsync(limit, cancellationToken);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) => _reads.ListOwnedAsync(node, cancellationToken);

    public Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) => Task.Run(() => _nodes.Register(node), cancellationToken);

    public RenewOutcome Renew(NodeId node) => _nodes.Renew(node);

    public Task RetireAsync(NodeId node, CancellationToken cancellationToken) => Task.Run(() => _nodes.Retire(node), cancellationToken);

    public Task<IReadOnlyList<BudgetRow>> ReadBudgetAsync(string node, CancellationToken cancellationToken) => _ledgers.BudgetAsync(node, cancellationToken);

    public Task SetCapAsync(string node, LimitDimension dimension, long? cap, CancellationToken cancellationToken)
    {
        return _writer.DoAsync(() =>
        {
            if (BudgetNodes.RunOf(node) is { } run && !_writes.IsEnded(run))
                throw BudgetNodes.CapOfLiveRun(run);
            _budgets.SetCap(node, dimension, cap);
            return (true, true);
        });
    }

    public Task<IReadOnlyList<WasteRow>> ReadWasteAsync(RunId run, int limit, CancellationToken cancellationToken) => _ledgers.WasteAsync(run, limit, cancellationToken);

    public Task<ScheduleRecord?> PutScheduleAsync(NewSchedule schedule, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Put(schedule));

    public Task<bool> RemoveScheduleAsync(string name, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Remove(name));

    public Task<IReadOnlyList<ScheduleRecord>> ListSchedulesAsync(CancellationToken cancellationToken) => _ledgers.SchedulesAsync(cancellationToken);

    public Task<IReadOnlyList<ScheduleRecord>> FindDueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) => _ledgers.DueSchedulesAsync(now, limit, cancellationToken);

    public async Task<bool> FireAsync(ScheduleFire fire, CancellationToken cancellationToken)
    {
        if (fire.Run is { } run)
            await _keys.EnsureAsync(run.Tenant, _connection, _writer);
        return await _writer.DoAsync(() => _schedules.Fire(fire));
    }

    public Task<IReadOnlyList<RunEvent>> ReadEventsAsync(RunId run, CancellationToken cancellationToken) => EventRows.ReadAsync(_readers, _columns, run, cancellationToken);

    public Task<ReadOnlyMemory<byte>> ReadKillSwitchAsync(CancellationToken cancellationToken) => _ledgers.KillSwitchAsync(cancellationToken);

    public Task<bool> ReplaceKillSwitchAsync(ReadOnlyMemory<byte> read, ReadOnlyMemory<byte> value, CancellationToken cancellationToken) => _writer.DoAsync(() =>
    {
        if (!(Meta.Get(_connection, Meta.KillSwitch) ?? []).AsSpan().SequenceEqual(read.Span))
            return (false, false);
        Meta.Set(_connection, Meta.KillSwitch, value.ToArray());
        return (true, true);
    });

    public Task<IReadOnlyList<RunId>> FindEndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => _ledgers.EndedAsync(before, limit, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindUnconfirmedAsync(int limit, CancellationToken cancellationToken) => _ledgers.UnconfirmedAsync(limit, cancellationToken);

    public Task<bool> ConfirmEndAsync(RunId run, CancellationToken cancellationToken) => _writer.DoAsync(() => _writes.ConfirmEnd(run));

    public Task<bool> DeleteRunAsync(RunId run, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Delete(run));

    public Task AddSnapshotAsync(SnapshotRecord snapshot, CancellationToken cancellationToken) => _writer.DoAsync(() => SnapshotRows.Add(_connection, snapshot));

    public Task<bool> RemoveSnapshotAsync(string id, CancellationToken cancellationToken) => _writer.DoAsync(() => SnapshotRows.Remove(_connection, id));

    public Task<IReadOnlyList<SnapshotRecord>> ListSnapshotsAsync(CancellationToken cancellationToken) => SnapshotRows.ListAsync(_readers, cancellationToken);

    public IAsyncEnumerable<BlobReference> ReadReferencesAsync(CancellationToken cancellationToken) => _ledgers.ReferencesAsync(cancellationToken);

    /// <summary>The runs that were live in a restored database have been dealt with.</summary>
    public async Task SettleRestoredAsync()
    {
        await _writer.DoAsync(() =>
        {
            Lineage.Settle(_connection);
            return (true, true);
        });
        Restored = false;
    }

    /// <summary>Destroys a tenant's key: nothing that was sealed under it can be read again, here or in any copy without that key.</summary>
    public Task<ShredOutcome> ShredAsync(string tenant) => _keys.ShredAsync(tenant, _connection, _writer);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        _checkpointer.Dispose();
        _readers.Dispose();
        await Task.Run(() =>
        {
            _writer.Dispose();
            _nodes.Dispose();
            foreach (var statements in (IDisposable[])[_schedules, _writes, _events, _creation, _budgets, _journal])
                statements.Dispose();
        });
        using (var pooled = new SqliteConnection(_connectionString))
            SqliteConnection.ClearPool(pooled);
        _keys.Dispose();
        _directory.Dispose();
    }

    private static DateTimeOffset LatestEntry(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT at FROM journal ORDER BY id DESC LIMIT 1";
        return command.ExecuteScalar() is long ms ? DateTimeOffset.FromUnixTimeMilliseconds(ms) : DateTimeOffset.MinValue;
    }

    /// <summary>
    /// Every connection has the same durability settings; the default of SQLite would lose the last commits at a power cut.
    /// The page size is a new database's: three entries of 2 KiB stand on a page of 8 KiB, and only one on the usual 4 KiB.
    /// </summary>
    private static SqliteConnection Connect(string connectionString)
    {
        var connection = new SqliteConnection(connectionString);
        connection.Open();
        using var pragma = connection.CreateCommand();
        pragma.CommandText = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;";
        pragma.ExecuteNonQuery();
        return connection;
    }

    private static SqliteOpenOutcome.Refused Refuse(DataDirectory directory, Failure failure)
    {
        SqliteConnection.ClearAllPools();
        directory.Dispose();
        return new SqliteOpenOutcome.Refused(failure);
    }
}
