using System.Globalization;
using System.Security.Cryptography;
using Caisson.Contracts;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>The tables, and the check that a file is ours before anything is written to it.</summary>
internal static class Schema
{
    private const int ApplicationId = 0x43414953; // "CAIS"
    private const int Version = 5;

    // The check reads the whole file. Beyond this size it would delay every restart; damage is then found where it is read.
    private const long LargestChecked = 32 << 20;

    // The journal is a rowid table with a unique index: appends go to the end of the tree. A clustered key of
    // (run, seq) would write to as many places as there are live runs.
    private const string Tables = """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            agent TEXT NOT NULL,
            tenant TEXT NOT NULL DEFAULT 'default',
            parent TEXT,
            origin TEXT,
            root TEXT NOT NULL DEFAULT '',
            depth INTEGER NOT NULL DEFAULT 0,
            path TEXT NOT NULL DEFAULT '',
            status INTEGER NOT NULL,
            waiting INTEGER NOT NULL DEFAULT 0,
            paused INTEGER NOT NULL DEFAULT 0,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            ended_at INTEGER,
            due_at INTEGER,
            owner TEXT,
            epoch INTEGER NOT NULL DEFAULT 0,
            last_seq INTEGER NOT NULL,
            chain BLOB,
            append_id BLOB,
            min_engine INTEGER NOT NULL DEFAULT 1,
            unconfirmed INTEGER NOT NULL DEFAULT 0,
            pruned INTEGER NOT NULL DEFAULT 0,
            suspicion INTEGER NOT NULL DEFAULT 0,
            lone_crashes INTEGER NOT NULL DEFAULT 0,
            idempotency_key TEXT UNIQUE,
            request_hash TEXT NOT NULL,
            summary BLOB NOT NULL
        ) STRICT;
        CREATE INDEX runs_due ON runs (tenant, due_at) WHERE owner IS NULL AND due_at IS NOT NULL;
        CREATE INDEX runs_due_below ON runs (tenant, depth DESC, due_at) WHERE owner IS NULL AND due_at IS NOT NULL AND depth > 0;
        CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL;
        CREATE INDEX runs_status ON runs (status);
        CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;
        CREATE INDEX runs_origin ON runs (origin) WHERE origin IS NOT NULL AND ended_at IS NULL;
        CREATE INDEX runs_unconfirmed ON runs (id) WHERE unconfirmed = 1;
        CREATE INDEX runs_suspect ON runs (suspicion) WHERE suspicion > 0;
        CREATE TABLE journal (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            at INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            scope TEXT NOT NULL,
            key TEXT,
            attempt INTEGER NOT NULL,
            append_id BLOB NOT NULL,
            schema INTEGER NOT NULL,
            body BLOB NOT NULL,
            payload BLOB,
            blob TEXT,
            chain BLOB,
            UNIQUE (run, seq)
        ) STRICT;
        CREATE TABLE inbox (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            input_id TEXT NOT NULL,
            kind INTEGER NOT NULL,
            payload BLOB NOT NULL,
            at INTEGER NOT NULL,
            consumed_seq INTEGER,
            UNIQUE (run, input_id)
        ) STRICT;
        CREATE INDEX inbox_open ON inbox (run, id) WHERE consumed_seq IS NULL;
        CREATE TABLE budgets (
            node TEXT NOT NULL,
            dimension INTEGER NOT NULL,
            cap INTEGER,
            spent INTEGER NOT NULL DEFAULT 0,
            held INTEGER NOT NULL DEFAULT 0,
            in_doubt INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (node, dimension)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE holds (
            run INTEGER NOT NULL,
            step_key TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            nano_usd INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            input_tokens INTEGER NOT NULL DEFAULT 0,
            output_tokens INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (run, step_key)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE waste (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            step_key TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            nano_usd INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            cause TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX waste_run ON waste (run);
        CREATE TABLE nodes (
            node TEXT PRIMARY KEY,
            host TEXT NOT NULL,
            boot TEXT NOT NULL,
            pid INTEGER NOT NULL,
            start_ticks INTEGER NOT NULL,
            beat INTEGER NOT NULL DEFAULT 0,
            started_at INTEGER NOT NULL,
            dead_at INTEGER
        ) STRICT, WITHOUT ROWID;
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
        ) STRICT, WITHOUT ROWID;
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
        ) STRICT;
        CREATE TABLE snapshots (
            id INTEGER PRIMARY KEY,
            snapshot_id TEXT NOT NULL UNIQUE,
            root TEXT NOT NULL,
            box TEXT NOT NULL,
            run_id TEXT,
            seq INTEGER NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        """;

    /// <summary>Looks at a file without changing it. <c>null</c> when it is ours and sound, or empty.</summary>
    internal static Failure? Inspect(string path)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadOnly, Pooling = false }.ToString());
        connection.Open();
        var application = Number(connection, "PRAGMA application_id");
        var version = Number(connection, "PRAGMA user_version");
        if (application == 0 && version == 0 && Number(connection, "SELECT count(*) FROM sqlite_schema") == 0)
            return null;
        if (application != ApplicationId)
            return new Failure(ErrorCodes.DatabaseForeign, $"{path}: this is a database of another program: choose another data directory, nothing was changed");
        if (version is < 1 or > Version)
            return new Failure(ErrorCodes.DatabaseForeign, $"{path}: its schema has version {version}, this server reads versions up to {Version}: use the server version that wrote it, nothing was changed");
        if (new FileInfo(path).Length > LargestChecked)
            return null;
        using var check = connection.CreateCommand();
        check.CommandText = "PRAGMA quick_check(1)";
        return check.ExecuteScalar() is "ok"
            ? null
            : new Failure(ErrorCodes.DatabaseCorrupt, $"{path}: the database is damaged: restore the data directory from a backup, nothing was changed");
    }

    /// <summary>Makes the tables in an empty file, and brings those of an earlier version up to this one, in one transaction.</summary>
    internal static void Prepare(SqliteConnection connection)
    {
        if (Number(connection, "SELECT count(*) FROM sqlite_schema") == 0)
            Create(connection);
        if (Number(connection, "PRAGMA user_version") == 1)
            Migration.FromVersion1(connection);
        if (Number(connection, "PRAGMA user_version") == 2)
            Migration.FromVersion2(connection);
        if (Number(connection, "PRAGMA user_version") == 3)
            Migration.FromVersion3(connection);
        if (Number(connection, "PRAGMA user_version") == 4)
            Migration.FromVersion4(connection);
    }

    private static void Create(SqliteConnection connection)
    {
        using var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = Tables + string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version};");
        command.ExecuteNonQuery();
        command.CommandText = "INSERT INTO meta (name, value) VALUES ('generation', $generation), ('tenant_key', $key)";
        command.Parameters.AddWithValue("$generation", RandomNumberGenerator.GetBytes(16));
        command.Parameters.AddWithValue("$key", RandomNumberGenerator.GetBytes(32));
        command.ExecuteNonQuery();
        transaction.Commit();
    }

    private static long Number(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return (long)(command.ExecuteScalar() ?? 0L);
    }
}
