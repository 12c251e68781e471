using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
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
public sealed class SqliteStore : IRunStore, IRunReader, INodeStore, IBudgetStore, IScheduleStore, IRetentionStore, IAsyncDisposable
{
    private const long CheckpointBytes = 16L << 20;
    private const long LongestLogBytes = 64L << 20;

    private readonly DataDirectory _directory;
    private readonly TimeProvider _clock;
    private readonly Writer _writer;
    private readonly JournalRows _journal;
    private readonly BudgetWrites _budgets;
    private readonly RunCreation _creation;
    private readonly RunWrites _writes;
    private readonly ScheduleWrites _schedules;
    private readonly Reads _reads;
    private readonly LedgerReads _ledgers;
    private readonly NodeRows _nodes;
    private readonly Checkpointer _checkpointer;
    private readonly string _connectionString;
    private bool _disposed;

    private SqliteStore(DataDirectory directory, string connectionString, byte[] tenantKey, TimeProvider clock, ILogger log)
    {
        (_directory, _connectionString, _clock, TenantKey) = (directory, connectionString, clock, tenantKey);
        var connection = Connect(connectionString);
        _journal = new JournalRows(connection);
        _budgets = new BudgetWrites(connection);
        _creation = new RunCreation(connection, _journal, _budgets);
        _writes = new RunWrites(connection, _journal, _creation, _budgets, clock);
        _schedules = new ScheduleWrites(connection, _creation, _writes);
        _writer = new Writer(connection, log);
        var reads = new ReadConnections(connectionString);
        (_reads, _ledgers) = (new Reads(reads, clock), new LedgerReads(reads));
        _nodes = new NodeRows(Connect(connectionString), _writer, clock);
        _checkpointer = new Checkpointer(Connect(connectionString), directory.Database + "-wal", CheckpointBytes, LongestLogBytes, _writer.Between, clock, log);
    }

    /// <summary>Key of the hashes that name blobs: equal contents of different installations have different names.</summary>
    public ReadOnlyMemory<byte> TenantKey { get; }

    public string DataDirectory => _directory.Path;

    /// <summary>Fails when the disk did: the process must exit and be started again.</summary>
    public Task Faulted => _writer.Faulted;

    public static SqliteOpenOutcome Open(SqliteOptions options, TimeProvider clock, ILogger log) => Storage.Sqlite.DataDirectory.Open(options.DataDirectory) switch
    {
        DirectoryOutcome.Refused refused => new SqliteOpenOutcome.Refused(refused.Failure),
        DirectoryOutcome.Locked locked => Open(locked.Directory, clock, log),
        _ => throw new InvalidOperationException("unreachable"),
    };

    private static SqliteOpenOutcome Open(DataDirectory directory, TimeProvider clock, ILogger log)
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
            using var key = connection.CreateCommand();
            key.CommandText = "SELECT value FROM meta WHERE name = 'tenant_key'";
            if (key.ExecuteScalar() is not byte[] { Length: 32 } tenantKey)
                return Refuse(directory, new Failure(ErrorCodes.DatabaseCorrupt, $"{path}: its key is missing: restore the data directory from a backup"));
            return new SqliteOpenOutcome.Opened(new SqliteStore(directory, text, tenantKey, clock, log));
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

    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) => _writer.DoAsync(() => _creation.Create(run));

    public async Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) =>
        await _writer.DoAsync(() => _writes.Claim(run, node)) && await FindAsync(run, cancellationToken) is { } record
            ? new ClaimOutcome.Claimed(record)
            : new ClaimOutcome.NotClaimable();

    public Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken) => _writer.DoAsync(() => _writes.Append(unit));

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => _writer.DoAsync(() => _writes.Post(input));

    public Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) => _reads.FindAsync(run, cancellationToken);

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken) => _reads.ListAsync(filter, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) => _reads.FindByPrefixAsync(prefix, limit, cancellationToken);

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) => _reads.ReadJournalAsync(run, afterSeq, limit, cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) => _reads.ReadInboxAsync(run, limit, cancellationToken);

    public Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken) => _reads.FindClaimableAsync(node, limit, cancellationToken);

    public Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) => _reads.NextDueAsync(cancellationToken);

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) => _reads.ListSuspectsAsync(limit, cancellationToken);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) => _reads.ListOwnedAsync(node, cancellationToken);

    public Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) => Task.Run(() => _nodes.Register(node), cancellationToken);

    public RenewOutcome Renew(NodeId node) => _nodes.Renew(node);

    public Task RetireAsync(NodeId node, CancellationToken cancellationToken) => Task.Run(() => _nodes.Retire(node), cancellationToken);

    public Task<IReadOnlyList<BudgetRow>> ReadBudgetAsync(string node, CancellationToken cancellationToken) => _ledgers.BudgetAsync(node, cancellationToken);

    public Task SetCapAsync(string node, LimitDimension dimension, long? cap, CancellationToken cancellationToken)
    {
        if (node.StartsWith("run:", StringComparison.Ordinal))
            throw new ArgumentException("a run's caps go through its inbox", nameof(node));
        return _writer.DoAsync(() =>
        {
            _budgets.SetCap(node, dimension, cap);
            return (true, true);
        });
    }

    public Task<IReadOnlyList<WasteRow>> ReadWasteAsync(RunId run, int limit, CancellationToken cancellationToken) => _ledgers.WasteAsync(run, limit, cancellationToken);

    public Task<ScheduleRecord> PutScheduleAsync(NewSchedule schedule, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Put(schedule));

    public Task<bool> RemoveScheduleAsync(string name, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Remove(name));

    public Task<IReadOnlyList<ScheduleRecord>> ListSchedulesAsync(CancellationToken cancellationToken) => _ledgers.SchedulesAsync(cancellationToken);

    public Task<IReadOnlyList<ScheduleRecord>> FindDueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) => _ledgers.DueSchedulesAsync(now, limit, cancellationToken);

    public Task<bool> FireAsync(ScheduleFire fire, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Fire(fire));

    public Task<IReadOnlyList<RunId>> FindEndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => _ledgers.EndedAsync(before, limit, cancellationToken);

    public Task<bool> DeleteRunAsync(RunId run, CancellationToken cancellationToken) => _writer.DoAsync(() => _schedules.Delete(run));

    public IAsyncEnumerable<BlobReference> ReadReferencesAsync(CancellationToken cancellationToken) => _ledgers.ReferencesAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        _checkpointer.Dispose();
        await Task.Run(() =>
        {
            _writer.Dispose();
            _nodes.Dispose();
            foreach (var statements in (IDisposable[])[_schedules, _writes, _creation, _budgets, _journal])
                statements.Dispose();
        });
        using (var pooled = new SqliteConnection(_connectionString))
            SqliteConnection.ClearPool(pooled);
        _directory.Dispose();
    }

    /// <summary>Every connection has the same durability settings; the default of SQLite would lose the last commits at a power cut.</summary>
    private static SqliteConnection Connect(string connectionString)
    {
        var connection = new SqliteConnection(connectionString);
        connection.Open();
        using var pragma = connection.CreateCommand();
        pragma.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;";
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
