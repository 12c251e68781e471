using System.Runtime.CompilerServices;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Reads beside the runs themselves: ledgers, schedules, and what retention needs.</summary>
internal sealed class LedgerReads(ReadConnections connections, SealedColumns columns)
{
    private const int Page = 1_000;

    internal const string ScheduleColumns = "name, uid, generation, definition, created_at, next_at, paused, last_run, last_at";

    internal Task<IReadOnlyList<BudgetRow>> BudgetAsync(string node, CancellationToken cancellationToken) =>
        connections.ListAsync("SELECT dimension, cap, spent, held, in_doubt FROM budgets WHERE node = $node ORDER BY dimension", [("$node", node)],
            r => new BudgetRow(node, (LimitDimension)r.GetInt32(0), new BudgetState(r.Number(1), r.GetInt64(2), r.GetInt64(3), r.GetInt64(4))), cancellationToken);

    internal Task<IReadOnlyList<WasteRow>> WasteAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT step_key, epoch, nano_usd, tokens, cause, at FROM waste WHERE run = (SELECT id FROM runs WHERE run_id = $run) ORDER BY id LIMIT $limit
            """, [("$run", run.ToString()), ("$limit", limit)],
            r => new WasteRow(run, r.GetString(0), r.GetInt64(1), r.GetInt64(2), r.GetInt64(3), r.GetString(4), r.At(5)), cancellationToken);

    internal Task<IReadOnlyList<ScheduleRecord>> SchedulesAsync(CancellationToken cancellationToken) =>
        connections.ListAsync($"SELECT {ScheduleColumns} FROM schedules ORDER BY name", [], r => Schedule(columns, r), cancellationToken);

    internal Task<IReadOnlyList<ScheduleRecord>> DueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync($"SELECT {ScheduleColumns} FROM schedules WHERE paused = 0 AND next_at <= $now ORDER BY next_at, name LIMIT $limit",
            [("$now", RunWrites.Ms(now)), ("$limit", limit)], r => Schedule(columns, r), cancellationToken);

    internal async Task<ReadOnlyMemory<byte>> KillSwitchAsync(CancellationToken cancellationToken) =>
        await connections.ListAsync("SELECT value FROM meta WHERE name = $name", [("$name", Meta.KillSwitch)], r => r.GetFieldValue<byte[]>(0), cancellationToken) is [var value] ? value : default(ReadOnlyMemory<byte>);

    internal Task<IReadOnlyList<RunId>> EndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT r.run_id FROM runs r WHERE r.ended_at < $before AND NOT EXISTS (SELECT 1 FROM runs f WHERE f.origin = r.run_id AND f.ended_at IS NULL)
            ORDER BY r.ended_at, r.id LIMIT $limit
            """,
            [("$before", RunWrites.Ms(before)), ("$limit", limit)], r => r.Run(0), cancellationToken);

    internal Task<IReadOnlyList<RunId>> UnconfirmedAsync(int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("SELECT run_id FROM runs WHERE unconfirmed = 1 ORDER BY id LIMIT $limit", [("$limit", limit)], r => r.Run(0), cancellationToken);

    internal async IAsyncEnumerable<BlobReference> ReferencesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var kinds = string.Join(", ", Enum.GetValues<EntryKind>().Where(JournalReferences.NamesWorkspace).Select(kind => (int)kind));
        var entries = PagesAsync($"""
            SELECT j.id, j.seq, j.kind, j.body, j.blob, r.run_id, r.pruned FROM journal j JOIN runs r ON r.id = j.run
            WHERE j.id > $after AND (j.blob IS NOT NULL OR (r.pruned = 0 AND j.kind IN ({kinds}))) ORDER BY j.id LIMIT {Page}
            """, OfEntry, cancellationToken);
        await foreach (var reference in entries)
            yield return reference;
        var rows = PagesAsync($"SELECT id, summary, run_id FROM runs WHERE id > $after ORDER BY id LIMIT {Page}",
            r => Reads.Summary(columns, r.Run(2), r.GetFieldValue<byte[]>(1)).Roots().Select(root => new BlobReference(root, IsTree: true)), cancellationToken);
        await foreach (var reference in rows)
            yield return reference;
        foreach (var snapshot in await SnapshotRows.ListAsync(connections, cancellationToken))
            yield return new BlobReference(snapshot.Root, IsTree: true);
    }

    /// <summary>What a destroyed key sealed refers to nothing any more: nobody can follow it.</summary>
    private IEnumerable<BlobReference> OfEntry(SqliteDataReader r)
    {
        var (seq, blob) = (r.GetInt64(1), r.Text(4));
        try
        {
            var body = columns.Open(SealedColumns.Body(r.Run(5), seq), r.GetFieldValue<byte[]>(3));
            return JournalReferences.Of(new JournalEntry(seq, 0, default, (EntryKind)r.GetInt32(2), "", null, 0, body, null, blob), pruned: r.GetBoolean(6));
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.KeyMissing)
        {
            return blob is null ? [] : [new BlobReference(blob, IsTree: false)];
        }
    }

    internal static ScheduleRecord Schedule(SealedColumns columns, SqliteDataReader r) => new(
        r.GetString(0), new Guid(r.GetFieldValue<byte[]>(1)), r.GetInt64(2), columns.Open(SealedColumns.Schedule(r.GetString(0)), r.GetFieldValue<byte[]>(3)), r.At(4), r.AtOrNull(5), r.GetBoolean(6), r.RunOrNull(7), r.AtOrNull(8));

    /// <summary>All rows in short transactions, by ascending position.</summary>
    private async IAsyncEnumerable<BlobReference> PagesAsync(string sql, Func<SqliteDataReader, IEnumerable<BlobReference>> map, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var after = 0L;
        while (true)
        {
            var page = await connections.ListAsync(sql, [("$after", after)], r => (Position: r.GetInt64(0), Found: map(r).ToList()), cancellationToken);
            foreach (var reference in page.SelectMany(row => row.Found))
                yield return reference;
            if (page.Count < Page)
                yield break;
            after = page[^1].Position;
        }
    }
}
