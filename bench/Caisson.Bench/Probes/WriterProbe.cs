using System.Diagnostics;
using Microsoft.Data.Sqlite;
using static SQLitePCL.raw;

namespace Caisson.Bench.Probes;

/// <summary>
/// What SQLite could do at most for many runs at once: producers that each want one entry durable before the next, one
/// thread that commits whatever came while it synced. What is written is what the store writes for a step, an entry of
/// the journal with its unique index and the run's row; there is nothing else, no check, no hash, no savepoint, and
/// SQLite is called without any library between.
/// </summary>
internal sealed class WriterProbe : IDisposable
{
    private const int MostInBatch = 512;

    // As those of a step's entry and of its run.
    private const int BodyBytes = 64;
    private const int SummaryBytes = 256;

    private readonly SqliteConnection _connection;
    private readonly byte[] _payload = Payload.Bytes(2050);
    private readonly byte[] _summary = Payload.Bytes(SummaryBytes);
    private readonly Lock _gate = new();
    private readonly AutoResetEvent _some = new(false);
    private readonly Queue<Row> _queue = new();
    private int _open;

    private WriterProbe(string path, int producers)
    {
        _connection = SqliteProbe.Open(path);
        using var command = _connection.CreateCommand();
        command.CommandText = """
            CREATE TABLE journal (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL,
                scope TEXT NOT NULL, key TEXT, attempt INTEGER NOT NULL, append_id BLOB NOT NULL, schema INTEGER NOT NULL, body BLOB NOT NULL,
                payload BLOB, blob TEXT, chain BLOB, UNIQUE (run, seq)) STRICT;
            CREATE TABLE runs (id INTEGER PRIMARY KEY, updated_at INTEGER, last_seq INTEGER, chain BLOB, append_id BLOB, summary BLOB) STRICT;
            """;
        command.ExecuteNonQuery();
        command.CommandText = "INSERT INTO runs (id, summary) VALUES ($id, $summary)";
        var id = command.Parameters.Add("$id", SqliteType.Integer);
        command.Parameters.AddWithValue("$summary", _summary);
        for (var i = 0; i < producers; i++)
        {
            id.Value = i;
            command.ExecuteNonQuery();
        }
    }

    internal static double RowsPerSecond(string folder, int producers, int rowsEach)
    {
        using var probe = new WriterProbe(Path.Combine(folder, "writer.db"), producers);
        probe._open = producers;
        var writer = new Thread(probe.Write) { IsBackground = true };
        var start = Stopwatch.GetTimestamp();
        writer.Start();
        for (var i = 0; i < producers; i++)
        {
            var run = i;
            _ = Task.Run(() => probe.ProduceAsync(run, rowsEach));
        }

        writer.Join();
        return producers * rowsEach / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private async Task ProduceAsync(int run, int rows)
    {
        for (var seq = 1; seq <= rows; seq++)
        {
            var row = new Row(run, seq);
            lock (_gate)
                _queue.Enqueue(row);
            _some.Set();
            await row.Durable.Task;
        }

        Interlocked.Decrement(ref _open);
        _some.Set();
    }

    private void Write()
    {
        using var begin = Prepare("BEGIN IMMEDIATE");
        using var commit = Prepare("COMMIT");
        using var insert = Prepare("INSERT INTO journal (run, seq, epoch, at, kind, scope, key, attempt, append_id, schema, body, payload, chain) VALUES (?, ?, 1, ?, 3, '', ?, 1, ?, 1, ?, ?, ?)");
        using var update = Prepare("UPDATE runs SET updated_at = ?, last_seq = ?, chain = ?, append_id = ?, summary = ? WHERE id = ?");
        var key = Convert.ToHexStringLower(Payload.Bytes(32));
        var (appendId, body, chain) = (Payload.Bytes(16), Payload.Bytes(BodyBytes), Payload.Bytes(32));
        var batch = new List<Row>(MostInBatch);
        while (Volatile.Read(ref _open) > 0)
        {
            lock (_gate)
            {
                while (batch.Count < MostInBatch && _queue.TryDequeue(out var row))
                    batch.Add(row);
            }

            if (batch.Count == 0)
            {
                _some.WaitOne();
                continue;
            }

            Step(begin);
            foreach (var row in batch)
            {
                sqlite3_bind_int64(insert, 1, row.Run);
                sqlite3_bind_int64(insert, 2, row.Seq);
                sqlite3_bind_int64(insert, 3, Stopwatch.GetTimestamp());
                sqlite3_bind_text(insert, 4, key);
                sqlite3_bind_blob(insert, 5, appendId);
                sqlite3_bind_blob(insert, 6, body);
                sqlite3_bind_blob(insert, 7, _payload);
                sqlite3_bind_blob(insert, 8, chain);
                Step(insert);
                sqlite3_bind_int64(update, 1, Stopwatch.GetTimestamp());
                sqlite3_bind_int64(update, 2, row.Seq);
                sqlite3_bind_blob(update, 3, chain);
                sqlite3_bind_blob(update, 4, appendId);
                sqlite3_bind_blob(update, 5, _summary);
                sqlite3_bind_int64(update, 6, row.Run);
                Step(update);
            }

            Step(commit);
            foreach (var row in batch)
                row.Durable.SetResult();
            batch.Clear();
        }
    }

    private SQLitePCL.sqlite3_stmt Prepare(string sql) =>
        sqlite3_prepare_v2(_connection.Handle, sql, out var statement) == SQLITE_OK ? statement : throw new InvalidOperationException($"not prepared: {sql}");

    private static void Step(SQLitePCL.sqlite3_stmt statement)
    {
        if (sqlite3_step(statement) != SQLITE_DONE)
            throw new InvalidOperationException("the probe's statement failed");
        sqlite3_reset(statement);
    }

    public void Dispose()
    {
        _connection.Dispose();
        _some.Dispose();
    }

    private sealed record Row(int Run, int Seq)
    {
        internal TaskCompletionSource Durable { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
