using System.Text;
using Caisson.Contracts;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>What happened in runs beside their journals: at most a bounded number of rows for each run. Written on the writer's thread.</summary>
internal sealed class EventRows(SqliteConnection connection, SealedColumns columns) : IDisposable
{
    private readonly Statement _find = new(connection, "SELECT id FROM events WHERE run = ?1 AND kind = ?2 AND code = ?3 AND subject = ?4", 4);
    private readonly Statement _count = new(connection, "SELECT count(*) FROM events WHERE run = ?1", 1);
    private readonly Statement _add = new(connection, """
        UPDATE events SET count = count + ?2, sent = sent + ?3, received = received + ?4, first_at = min(first_at, ?5), last_at = ?6, detail = coalesce(?7, detail) WHERE id = ?1
        """, 7);
    private readonly Statement _insert = new(connection, """
        INSERT INTO events (run, kind, code, subject, count, sent, received, first_at, last_at, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        """, 10);

    internal void Add(long row, RunId run, string tenant, RunEvent happened)
    {
        var id = _find.Value(row, happened.Kind, happened.Code, happened.Subject);
        if (id is null && _count.Value(row) is >= (long)RunEvent.MostOfRun)
        {
            happened = happened with { Subject = RunEvent.Others };
            id = _find.Value(row, happened.Kind, happened.Code, happened.Subject);
        }

        // A path and a reason are content; what is counted is not.
        var detail = happened.Detail is { } text ? columns.Seal(tenant, SealedColumns.Event(run, happened.Kind, happened.Code, happened.Subject), Encoding.UTF8.GetBytes(text)) : null;
        var (first, last) = (RunWrites.Ms(happened.FirstAt), RunWrites.Ms(happened.LastAt));
        if (id is long known)
            _add.Run(known, happened.Count, happened.Sent, happened.Received, first, last, detail);
        else
            _insert.Run(row, happened.Kind, happened.Code, happened.Subject, happened.Count, happened.Sent, happened.Received, first, last, detail);
    }

    internal static Task<IReadOnlyList<RunEvent>> ReadAsync(ReadConnections connections, SealedColumns columns, RunId run, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT kind, code, subject, count, sent, received, first_at, last_at, detail FROM events WHERE run = (SELECT id FROM runs WHERE run_id = $run) ORDER BY id
            """, [("$run", run.ToString())],
            r => new RunEvent(r.GetString(0), r.GetString(1), r.GetString(2), r.GetInt64(3), r.GetInt64(4), r.GetInt64(5), r.At(6), r.At(7),
                r.Bytes(8) is { } detail ? Encoding.UTF8.GetString(columns.Open(SealedColumns.Event(run, r.GetString(0), r.GetString(1), r.GetString(2)), detail)) : null), cancellationToken);

    public void Dispose()
    {
        foreach (var statement in new[] { _find, _count, _add, _insert })
            statement.Dispose();
    }
}
