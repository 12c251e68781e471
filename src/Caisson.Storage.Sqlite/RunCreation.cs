using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>How a run begins to exist: asked for, spawned by another or fired by a schedule. Runs on the writer's thread only.</summary>
internal sealed class RunCreation(SqliteConnection connection, JournalRows journal, BudgetWrites budgets, SealedColumns columns) : IDisposable
{
    private readonly Statement _byKey = new(connection, "SELECT run_id, request_hash FROM runs WHERE idempotency_key = ?1", 1);
    private readonly Statement _byId = new(connection, "SELECT run_id, request_hash FROM runs WHERE run_id = ?1", 1);
    private readonly Statement _lineage = new(connection, "SELECT path, root FROM runs WHERE run_id = ?1", 1);
    private readonly Statement _insert = new(connection, """
        INSERT INTO runs (run_id, agent, status, created_at, updated_at, due_at, last_seq, idempotency_key, request_hash, summary, tenant, parent, root, depth, path, chain, origin, min_engine)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT (run_id) DO NOTHING RETURNING id
        """, 17);

    internal (CreateOutcome, bool) Create(NewRun run)
    {
        if (run.IdempotencyKey is { } key && Known(_byKey, key, run.RequestHash) is { } same)
            return (same, false);
        var (path, root) = Lineage(run);
        var seq = 1L;
        var chains = new List<byte[]> { JournalRows.Next(null, run.Id, seq, 0, run.At, run.Created) };
        foreach (var draft in run.More)
            chains.Add(JournalRows.Next(chains[^1], run.Id, ++seq, 0, run.At, draft));
        if (_insert.Value(run.Id.ToString(), run.Agent, (int)RunStatus.Ready, RunWrites.Ms(run.At), RunWrites.Ms(run.DueAt ?? run.At), seq, run.IdempotencyKey, run.RequestHash,
            columns.Seal(run.Tenant, SealedColumns.Summary(run.Id), RunWrites.Json(run.Summary)), run.Tenant, run.Parent?.ToString(), root, run.Depth, path,
            columns.Seal(run.Tenant, SealedColumns.Head(run.Id), chains[^1]), run.Origin?.ToString(), run.MinEngine) is not long row)
            return (Known(_byId, run.Id.ToString(), run.RequestHash)!, false);

        var appendId = Guid.Empty.ToByteArray();
        journal.Insert(row, run.Id, run.Tenant, 1, 0, run.At, appendId, run.Created, chains[0]);
        for (var i = 0; i < run.More.Count; i++)
            journal.Insert(row, run.Id, run.Tenant, i + 2, 0, run.At, appendId, run.More[i], chains[i + 1]);
        budgets.Open(run);
        return (new CreateOutcome.Created(), true);
    }

    private static CreateOutcome? Known(Statement statement, string value, string hash)
    {
        using var rows = statement.Rows(value);
        if (!rows.Read())
            return null;
        var known = RunId.Parse(rows.GetString(0));
        return rows.GetString(1) == hash ? new CreateOutcome.Existing(known) : new CreateOutcome.KeyMismatch(known);
    }

    /// <summary>Its budget path and the root of its tree. A fork without a parent draws on its origin's root; where the one above is gone, it begins a tree of its own.</summary>
    private (string Path, string Root) Lineage(NewRun run)
    {
        var own = BudgetNodes.Of(run.Id);
        if ((run.Parent ?? run.Origin) is { } above)
        {
            using var rows = _lineage.Rows(above.ToString());
            if (rows.Read())
            {
                var root = rows.GetString(1);
                return (run.Parent is null ? $"{BudgetNodes.OfTenant(run.Tenant)}\n{BudgetNodes.Of(RunId.Parse(root))}\n{own}" : $"{rows.GetString(0)}\n{own}", root);
            }
        }

        return ($"{BudgetNodes.OfTenant(run.Tenant)}\n{own}", run.Id.ToString());
    }

    public void Dispose()
    {
        foreach (var statement in new[] { _byKey, _byId, _lineage, _insert })
            statement.Dispose();
    }
}
