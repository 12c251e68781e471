using Caisson.Contracts;
using Caisson.Core.Budgets;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>What earlier versions lack. One transaction: a crash in the middle of it leaves the file as it was.</summary>
internal static class Migration
{
    // Entries of that version have no chain and stay without: nobody could tell whether they are as they were written.
    // One statement at a time: the driver takes a column's addition for a query, and runs what stands behind a query
    // without telling of its errors.
    private static readonly string[] ToVersion2 =
    [
        "ALTER TABLE runs ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default'",
        "ALTER TABLE runs ADD COLUMN parent TEXT",
        "ALTER TABLE runs ADD COLUMN origin TEXT",
        "ALTER TABLE runs ADD COLUMN root TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN path TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN chain BLOB",
        "ALTER TABLE runs ADD COLUMN append_id BLOB",
        "ALTER TABLE runs ADD COLUMN min_engine INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE runs ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN suspicion INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN lone_crashes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE journal ADD COLUMN chain BLOB",
        "ALTER TABLE holds ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE holds ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0",
        "DROP INDEX runs_due",
        "CREATE INDEX runs_due ON runs (tenant, due_at) WHERE owner IS NULL AND due_at IS NOT NULL",
        "CREATE INDEX runs_due_below ON runs (tenant, depth DESC, due_at) WHERE owner IS NULL AND due_at IS NOT NULL AND depth > 0",
        "CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL",
        "CREATE INDEX runs_origin ON runs (origin) WHERE origin IS NOT NULL AND ended_at IS NULL",
        "CREATE INDEX runs_unconfirmed ON runs (id) WHERE unconfirmed = 1",
        "CREATE INDEX runs_suspect ON runs (suspicion) WHERE suspicion > 0",
        """
        CREATE TABLE schedules (
            name TEXT PRIMARY KEY,
            uid BLOB NOT NULL,
            generation INTEGER NOT NULL,
            definition BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            next_at INTEGER,
            paused INTEGER NOT NULL,
            last_run TEXT,
            last_at INTEGER
        ) STRICT, WITHOUT ROWID
        """,
        "UPDATE runs SET root = run_id, path = 'tenant:default' || char(10) || 'run:' || run_id",
        "PRAGMA user_version = 2",
    ];

    private static readonly string[] ToVersion3 =
    [
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            kind TEXT NOT NULL,
            code TEXT NOT NULL,
            subject TEXT NOT NULL,
            count INTEGER NOT NULL,
            sent INTEGER NOT NULL,
            received INTEGER NOT NULL,
            first_at INTEGER NOT NULL,
            last_at INTEGER NOT NULL,
            detail BLOB,
            UNIQUE (run, kind, code, subject)
        ) STRICT
        """,
        "PRAGMA user_version = 3",
    ];

    private static readonly string[] ToVersion4 =
    [
        "ALTER TABLE runs ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0",
        "PRAGMA user_version = 4",
    ];

    private static readonly string[] ToVersion5 =
    [
        """
        CREATE TABLE snapshots (
            id INTEGER PRIMARY KEY,
            snapshot_id TEXT NOT NULL UNIQUE,
            root TEXT NOT NULL,
            box TEXT NOT NULL,
            run_id TEXT,
            seq INTEGER NOT NULL,
            at INTEGER NOT NULL
        ) STRICT
        """,
        "PRAGMA user_version = 5",
    ];

    internal static void FromVersion4(SqliteConnection connection) => Execute(connection, ToVersion5);

    internal static void FromVersion3(SqliteConnection connection) => Execute(connection, ToVersion4);

    internal static void FromVersion2(SqliteConnection connection) => Execute(connection, ToVersion3);

    private static void Execute(SqliteConnection connection, string[] statements)
    {
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        foreach (var statement in statements)
        {
            command.CommandText = statement;
            command.ExecuteNonQuery();
        }

        transaction.Commit();
    }

    internal static void FromVersion1(SqliteConnection connection)
    {
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        foreach (var statement in ToVersion2)
        {
            command.CommandText = statement;
            command.ExecuteNonQuery();
        }

        // The tenant's ledger begins with what its runs have spent and hold: a hold that ends is taken off it as well.
        foreach (var dimension in new[] { LimitDimension.NanoUsd, LimitDimension.Tokens })
        {
            var (spent, held, inDoubt) = (0L, 0L, 0L);
            command.CommandText = "SELECT spent, held, in_doubt FROM budgets WHERE dimension = $dimension AND node LIKE 'run:%'";
            command.Parameters.Clear();
            command.Parameters.AddWithValue("$dimension", (int)dimension);
            using (var rows = command.ExecuteReader())
            {
                while (rows.Read())
                    (spent, held, inDoubt) = (Amounts.Sum(spent, rows.GetInt64(0)), Amounts.Sum(held, rows.GetInt64(1)), Amounts.Sum(inDoubt, rows.GetInt64(2)));
            }

            command.CommandText = "INSERT INTO budgets (node, dimension, spent, held, in_doubt) VALUES ($node, $dimension, $spent, $held, $doubt)";
            command.Parameters.AddWithValue("$node", BudgetNodes.OfTenant(BudgetNodes.DefaultTenant));
            command.Parameters.AddWithValue("$spent", spent);
            command.Parameters.AddWithValue("$held", held);
            command.Parameters.AddWithValue("$doubt", inDoubt);
            command.ExecuteNonQuery();
        }

        transaction.Commit();
    }
}
