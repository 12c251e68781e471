using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Reads on pooled connections of their own, each one short: an idle reader would keep the write-ahead log from shrinking.</summary>
internal sealed class Reads(string connectionString, TimeProvider clock) : IRunReader
{
    private const string RunColumns = """
        r.run_id, r.agent, r.status, r.waiting, r.paused, r.created_at, r.updated_at, r.ended_at, r.due_at, r.owner, r.epoch, r.last_seq, r.summary,
        m.cap, m.spent, m.held, m.in_doubt, t.cap, t.spent, t.held, t.in_doubt
        FROM runs r
        LEFT JOIN budgets m ON m.node = 'run:' || r.run_id AND m.dimension = 1
        LEFT JOIN budgets t ON t.node = 'run:' || r.run_id AND t.dimension = 2
        """;

    public async Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) =>
        await ListAsync($"SELECT {RunColumns} WHERE r.run_id = $run", [("$run", run.ToString())], Record, cancellationToken) is [var found] ? found : null;

    public Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken)
    {
        var where = new List<string> { "1" };
        var values = new List<(string, object)> { ("$limit", filter.Limit) };
        if (filter.Statuses is { Count: > 0 } statuses)
            where.Add($"r.status IN ({string.Join(',', statuses.Select(s => ((int)s).ToString(CultureInfo.InvariantCulture)))})");
        if (filter.Agent is { } agent)
        {
            where.Add("r.agent = $agent");
            values.Add(("$agent", agent));
        }

        if (filter.Before is { } before)
        {
            where.Add("r.id < (SELECT id FROM runs WHERE run_id = $before)");
            values.Add(("$before", before.ToString()));
        }

        return ListAsync($"SELECT {RunColumns} WHERE {string.Join(" AND ", where)} ORDER BY r.id DESC LIMIT $limit", values, Record, cancellationToken);
    }

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) =>
        ListAsync("SELECT run_id FROM runs WHERE run_id >= $prefix AND run_id < $prefix || 'g' ORDER BY run_id LIMIT $limit",
            [("$prefix", prefix), ("$limit", limit)], r => RunId.Parse(r.GetString(0)), cancellationToken);

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) =>
        ListAsync("""
            SELECT seq, epoch, at, kind, scope, key, attempt, body, payload, blob FROM journal
            WHERE run = (SELECT id FROM runs WHERE run_id = $run) AND seq > $after ORDER BY seq LIMIT $limit
            """, [("$run", run.ToString()), ("$after", afterSeq), ("$limit", limit)],
            r => new JournalEntry(r.GetInt64(0), r.GetInt64(1), At(r.GetInt64(2)), (EntryKind)r.GetInt32(3), r.GetString(4), Text(r, 5), r.GetInt32(6),
                r.GetFieldValue<byte[]>(7), r.IsDBNull(8) ? default(ReadOnlyMemory<byte>?) : r.GetFieldValue<byte[]>(8), Text(r, 9)), cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        ListAsync("""
            SELECT id, input_id, kind, payload, at FROM inbox
            WHERE run = (SELECT id FROM runs WHERE run_id = $run) AND consumed_seq IS NULL ORDER BY id LIMIT $limit
            """, [("$run", run.ToString()), ("$limit", limit)],
            r => new InboxInput(r.GetInt64(0), r.GetString(1), (InputKind)r.GetInt32(2), r.GetFieldValue<byte[]>(3), At(r.GetInt64(4))), cancellationToken);

    /// <summary>Runs of dead owners come first: they were at work, and a backlog of new ones must not make them wait.</summary>
    public async Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken)
    {
        var orphans = await ListAsync("SELECT r.run_id FROM nodes n JOIN runs r ON r.owner = n.node WHERE n.dead_at IS NOT NULL LIMIT $limit",
            [("$limit", limit)], r => RunId.Parse(r.GetString(0)), cancellationToken);
        if (orphans.Count == limit)
            return orphans;
        var due = await ListAsync("SELECT run_id FROM runs WHERE owner IS NULL AND due_at IS NOT NULL AND due_at <= $now ORDER BY due_at LIMIT $limit",
            [("$now", RunWrites.Ms(clock.GetUtcNow())), ("$limit", limit - orphans.Count)], r => RunId.Parse(r.GetString(0)), cancellationToken);
        return [.. orphans, .. due];
    }

    public async Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) =>
        (await ListAsync("SELECT min(due_at) FROM runs WHERE owner IS NULL AND due_at IS NOT NULL", [],
            r => r.IsDBNull(0) ? (DateTimeOffset?)null : At(r.GetInt64(0)), cancellationToken))[0];

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<(RunId, int)>>([]);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) =>
        ListAsync("""
            SELECT run_id, EXISTS (SELECT 1 FROM inbox i WHERE i.run = r.id AND i.consumed_seq IS NULL)
            FROM runs r WHERE owner = $node
            """, [("$node", node.ToString())], r => new OwnedRun(RunId.Parse(r.GetString(0)), r.GetBoolean(1)), cancellationToken);

    private async Task<IReadOnlyList<T>> ListAsync<T>(string sql, IReadOnlyList<(string Name, object Value)> values, Func<SqliteDataReader, T> map, CancellationToken cancellationToken)
    {
        try
        {
            await using var connection = new SqliteConnection(connectionString);
            await connection.OpenAsync(cancellationToken);
            await using var command = connection.CreateCommand();
            command.CommandText = sql;
            foreach (var (name, value) in values)
                command.Parameters.AddWithValue(name, value);
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var rows = new List<T>();
            while (await reader.ReadAsync(cancellationToken))
                rows.Add(map(reader));
            return rows;
        }
        catch (SqliteException problem) when (problem.SqliteErrorCode is 11 or 26)
        {
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, "the database is damaged: restore the data directory from a backup", inner: problem);
        }
        catch (SqliteException problem)
        {
            throw new CaissonException(ErrorCodes.StorageFailed, $"the database could not be read: {problem.Message}", inner: problem);
        }
    }

    private static RunRecord Record(SqliteDataReader r) => new(
        RunId.Parse(r.GetString(0)), r.GetString(1), (RunStatus)r.GetInt32(2), (WaitReason)r.GetInt32(3), (PauseCause)r.GetInt32(4),
        At(r.GetInt64(5)), At(r.GetInt64(6)), r.IsDBNull(7) ? null : At(r.GetInt64(7)), r.IsDBNull(8) ? null : At(r.GetInt64(8)),
        r.IsDBNull(9) ? null : new NodeId(Guid.ParseExact(r.GetString(9), "N")), r.GetInt64(10), r.GetInt64(11),
        Summary(r.GetFieldValue<byte[]>(12)),
        Budget(r, 13), Budget(r, 17));

    /// <summary>The journal has all of it: a damaged summary must not keep a run from being found and driven.</summary>
    private static RunSummary Summary(byte[] json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, StorageJson.Default.RunSummary) ?? new RunSummary();
        }
        catch (JsonException)
        {
            return new RunSummary { Detail = "the summary of this run is damaged; its journal is whole" };
        }
    }

    private static BudgetState Budget(SqliteDataReader r, int column) => r.IsDBNull(column + 1)
        ? BudgetState.None
        : new BudgetState(r.IsDBNull(column) ? null : r.GetInt64(column), r.GetInt64(column + 1), r.GetInt64(column + 2), r.GetInt64(column + 3));

    private static string? Text(SqliteDataReader r, int column) => r.IsDBNull(column) ? null : r.GetString(column);

    private static DateTimeOffset At(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms);
}
