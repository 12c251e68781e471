using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Runs, their journals and inboxes.</summary>
internal sealed class Reads(ReadConnections connections, SealedColumns columns, TimeProvider clock) : IRunReader
{
    private const string RunColumns = """
        r.run_id, r.agent, r.status, r.waiting, r.paused, r.created_at, r.updated_at, r.ended_at, r.due_at, r.owner, r.epoch, r.last_seq, r.summary,
        m.cap, m.spent, m.held, m.in_doubt, t.cap, t.spent, t.held, t.in_doubt, r.tenant, r.parent, r.depth, r.suspicion, r.lone_crashes, r.origin, r.path, r.min_engine
        FROM runs r
        LEFT JOIN budgets m ON m.node = 'run:' || r.run_id AND m.dimension = 1
        LEFT JOIN budgets t ON t.node = 'run:' || r.run_id AND t.dimension = 2
        """;

    public async Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken) =>
        await connections.ListAsync($"SELECT {RunColumns} WHERE r.run_id = $run", [("$run", run.ToString())], Record, cancellationToken) is [var found] ? found : null;

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

        return connections.ListAsync($"SELECT {RunColumns} WHERE {string.Join(" AND ", where)} ORDER BY r.id DESC LIMIT $limit", values, Record, cancellationToken);
    }

    public Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("SELECT run_id FROM runs WHERE run_id >= $prefix AND run_id < $prefix || 'g' ORDER BY run_id LIMIT $limit",
            [("$prefix", prefix), ("$limit", limit)], r => r.Run(0), cancellationToken);

    public async Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken) =>
        await connections.ListAsync("SELECT run_id, request_hash FROM runs WHERE idempotency_key = $key", [("$key", key)],
            r => new KeyedRun(r.Run(0), r.GetString(1)), cancellationToken) is [var found] ? found : null;

    public Task<IReadOnlyList<JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT seq, epoch, at, kind, scope, key, attempt, body, payload, blob, chain FROM journal
            WHERE run = (SELECT id FROM runs WHERE run_id = $run) AND seq > $after ORDER BY seq LIMIT $limit
            """, [("$run", run.ToString()), ("$after", afterSeq), ("$limit", limit)],
            r => Entry(run, r), cancellationToken);

    public Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT id, input_id, kind, payload, at FROM inbox
            WHERE run = (SELECT id FROM runs WHERE run_id = $run) AND consumed_seq IS NULL ORDER BY id LIMIT $limit
            """, [("$run", run.ToString()), ("$limit", limit)],
            r => new InboxInput(r.GetInt64(0), r.GetString(1), (InputKind)r.GetInt32(2), columns.Open(SealedColumns.Input(run, r.GetString(1)), r.GetFieldValue<byte[]>(3)), r.At(4)), cancellationToken);

    // Tenants with unowned runs, each found by one step through the index.
    private static string Tenants(string which) => $"""
        WITH RECURSIVE t (tenant) AS (
            SELECT min(tenant) FROM runs WHERE owner IS NULL AND due_at IS NOT NULL{which}
            UNION ALL
            SELECT (SELECT min(tenant) FROM runs WHERE owner IS NULL AND due_at IS NOT NULL{which} AND tenant > t.tenant) FROM t WHERE t.tenant IS NOT NULL)
        """;

    private static string Orphans(string which) => $"""
        SELECT run_id FROM (
            SELECT run_id, id, idle, calls_no_model, row_number() OVER (PARTITION BY tenant, idle, calls_no_model ORDER BY id) AS turn FROM (
                SELECT r.run_id, r.id, r.tenant, r.status <> 2 AS idle, NOT EXISTS (SELECT 1 FROM holds h WHERE h.run = r.id) AS calls_no_model
                FROM nodes n JOIN runs r ON r.owner = n.node WHERE n.dead_at IS NOT NULL{which} AND r.min_engine <= $level))
        ORDER BY idle, calls_no_model, turn, id LIMIT $limit
        """;

    private static readonly string s_orphans = Orphans("");

    private static readonly string s_orphansBelow = Orphans(" AND r.depth > 0");

    private static readonly string s_dueBelow = Due(" AND depth > 0", "d.depth DESC, ", "depth DESC, ");

    private static readonly string s_due = Due("", "", "");

    private static string Due(string which, string innerOrder, string order) => $"""
        {Tenants(which)}
        SELECT run_id FROM (
            SELECT r.run_id, r.depth, r.due_at, r.id, row_number() OVER (PARTITION BY r.tenant ORDER BY {order}r.due_at, r.id) AS turn
            FROM t JOIN runs r ON r.id IN (
                SELECT d.id FROM runs d WHERE d.tenant = t.tenant AND d.owner IS NULL AND d.due_at IS NOT NULL{which} AND d.due_at <= $now AND d.min_engine <= $level ORDER BY {innerOrder}d.due_at, d.id LIMIT $limit))
        ORDER BY turn, {order}due_at, id LIMIT $limit
        """;

    public async Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken)
    {
        var orphans = await OrphansAsync(s_orphans, limit, cancellationToken);
        if (orphans.Count == limit)
            return orphans;
        var room = limit - orphans.Count;
        var below = await DueAsync(s_dueBelow, ClaimOrder.ShareBelow(room), cancellationToken);
        var due = below.Count == room ? [] : await DueAsync(s_due, room, cancellationToken);
        return [.. orphans, .. ClaimOrder.Merge(below, due, room)];
    }

    public async Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken)
    {
        var orphans = await OrphansAsync(s_orphansBelow, limit, cancellationToken);
        return orphans.Count == limit ? orphans : [.. orphans, .. await DueAsync(s_dueBelow, limit - orphans.Count, cancellationToken)];
    }

    private Task<IReadOnlyList<RunId>> OrphansAsync(string sql, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync(sql, [("$level", EngineVersion.Level), ("$limit", limit)], r => r.Run(0), cancellationToken);

    private Task<IReadOnlyList<RunId>> DueAsync(string sql, int limit, CancellationToken cancellationToken) =>
        connections.ListAsync(sql, [("$now", RunWrites.Ms(clock.GetUtcNow())), ("$level", EngineVersion.Level), ("$limit", limit)], r => r.Run(0), cancellationToken);

    public async Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken) =>
        (await connections.ListAsync($"""
            {Tenants("")}
            SELECT min((SELECT min(due_at) FROM runs WHERE tenant = t.tenant AND owner IS NULL AND due_at IS NOT NULL)) FROM t
            """, [], r => r.AtOrNull(0), cancellationToken))[0];

    public Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken) =>
        connections.ListAsync("SELECT run_id, suspicion FROM runs WHERE suspicion > 0 AND status IN (1, 2) ORDER BY suspicion DESC, run_id LIMIT $limit",
            [("$limit", limit)], r => (r.Run(0), r.GetInt32(1)), cancellationToken);

    public Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken) =>
        connections.ListAsync("""
            SELECT run_id, EXISTS (SELECT 1 FROM inbox i WHERE i.run = r.id AND i.consumed_seq IS NULL)
            FROM runs r WHERE owner = $node
            """, [("$node", node.ToString())], r => new OwnedRun(r.Run(0), r.GetBoolean(1)), cancellationToken);

    private JournalEntry Entry(RunId run, SqliteDataReader r)
    {
        var seq = r.GetInt64(0);
        var payload = columns.OpenOrNull(SealedColumns.Payload(run, seq), r.Bytes(8));
        return new JournalEntry(seq, r.GetInt64(1), r.At(2), (EntryKind)r.GetInt32(3), r.GetString(4), r.Text(5), r.GetInt32(6),
            columns.Open(SealedColumns.Body(run, seq), r.GetFieldValue<byte[]>(7)), payload is null ? default(ReadOnlyMemory<byte>?) : payload, r.Text(9))
        {
            Chain = columns.OpenOrNull(SealedColumns.Chain(run, seq), r.Bytes(10)),
        };
    }

    private RunRecord Record(SqliteDataReader r) => new(
        r.Run(0), r.GetString(1), (RunStatus)r.GetInt32(2), (WaitReason)r.GetInt32(3), (PauseCause)r.GetInt32(4),
        r.At(5), r.At(6), r.AtOrNull(7), r.AtOrNull(8), r.Text(9) is { } owner ? new NodeId(Guid.ParseExact(owner, "N")) : null, r.GetInt64(10), r.GetInt64(11),
        Summary(columns, r.Run(0), r.GetFieldValue<byte[]>(12)), Budget(r, 13), Budget(r, 17))
    {
        Tenant = r.GetString(21),
        Parent = r.RunOrNull(22),
        Depth = r.GetInt32(23),
        Suspicion = r.GetInt32(24),
        LoneCrashes = r.GetInt32(25),
        Origin = r.RunOrNull(26),
        Path = r.GetString(27).Split('\n'),
        MinEngine = r.GetInt32(28),
    };

    /// <summary>The journal has all of it: a damaged summary must not keep a run from being found and driven.</summary>
    internal static RunSummary Summary(SealedColumns columns, RunId run, byte[] stored)
    {
        try
        {
            return JsonSerializer.Deserialize(columns.Open(SealedColumns.Summary(run), stored), StorageJson.Default.RunSummary) ?? new RunSummary();
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.KeyMissing)
        {
            return new RunSummary { Detail = "the key of this run's content was destroyed" };
        }
        catch (Exception problem) when (problem is JsonException or CaissonException)
        {
            return new RunSummary { Detail = "the summary of this run is damaged; its journal is whole" };
        }
    }

    private static BudgetState Budget(SqliteDataReader r, int column) => r.IsDBNull(column + 1)
        ? BudgetState.None
        : new BudgetState(r.Number(column), r.GetInt64(column + 1), r.GetInt64(column + 2), r.GetInt64(column + 3));
}
