using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Tests.Conformance;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.Sqlite;

/// <summary>Files of earlier versions go on in this one.</summary>
public sealed class MigrationTests : IDisposable
{
    private const string Run = "019a0000-0000-7000-8000-000000000001", Ended = "019a0000-0000-7000-8000-000000000002";
    private const string Node = "00000000000000000000000000000001";

    /// <summary>The tables of version 1 as they were released.</summary>
    private const string Version1 = """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            agent TEXT NOT NULL,
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
            idempotency_key TEXT UNIQUE,
            request_hash TEXT NOT NULL,
            summary BLOB NOT NULL
        ) STRICT;
        CREATE INDEX runs_due ON runs (due_at) WHERE owner IS NULL AND due_at IS NOT NULL;
        CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL;
        CREATE INDEX runs_status ON runs (status);
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
        PRAGMA application_id = 1128352083;
        PRAGMA user_version = 1;
        """;

    /// <summary>A run at work with a call in flight, an input and some waste, and one that has ended.</summary>
    private const string Rows = $$"""
        INSERT INTO meta VALUES ('generation', zeroblob(16)), ('tenant_key', zeroblob(32));
        INSERT INTO nodes (node, host, boot, pid, start_ticks, started_at) VALUES ('{{Node}}', 'host', 'boot', 1, 2, 1000);
        INSERT INTO runs (id, run_id, agent, status, created_at, updated_at, ended_at, due_at, owner, epoch, last_seq, idempotency_key, request_hash, summary) VALUES
            (1, '{{Run}}', 'agent', 2, 1000, 2000, NULL, 2000, '{{Node}}', 1, 3, 'key', 'hash', CAST('{"steps":1,"detail":"d"}' AS BLOB)),
            (2, '{{Ended}}', 'agent', 5, 1000, 3000, 3000, NULL, NULL, 1, 2, NULL, 'hash', CAST('{"result":"r"}' AS BLOB));
        INSERT INTO journal (run, seq, epoch, at, kind, scope, key, attempt, append_id, schema, body, payload, blob) VALUES
            (1, 1, 0, 1000, 1, '', NULL, 0, zeroblob(16), 1, CAST('{"input":"x"}' AS BLOB), NULL, NULL),
            (1, 2, 1, 1500, 2, '', NULL, 0, zeroblob(16), 1, CAST('{"node":"n"}' AS BLOB), NULL, NULL),
            (1, 3, 1, 2000, 4, 's', 'k', 1, randomblob(16), 1, CAST('{"workspace":"root"}' AS BLOB), CAST('result' AS BLOB), NULL),
            (2, 1, 0, 1000, 1, '', NULL, 0, zeroblob(16), 1, zeroblob(0), NULL, 'address'),
            (2, 2, 1, 3000, 13, '', NULL, 0, randomblob(16), 1, CAST('{}' AS BLOB), NULL, NULL);
        INSERT INTO inbox (run, input_id, kind, payload, at) VALUES (1, 'pause', 2, CAST('{}' AS BLOB), 1800);
        INSERT INTO budgets (node, dimension, cap, spent, held, in_doubt) VALUES
            ('run:{{Run}}', 1, 100, 20, 30, 5), ('run:{{Run}}', 2, NULL, 2, 3, 1), ('run:{{Ended}}', 1, 50, 7, 0, 0), ('run:{{Ended}}', 2, NULL, 1, 0, 0);
        INSERT INTO holds (run, step_key, epoch, nano_usd, tokens) VALUES (1, 'in flight', 1, 30, 3);
        INSERT INTO waste (run, step_key, epoch, nano_usd, tokens, cause, at) VALUES (1, 'old', 1, 5, 1, 'owner_lost', 1700);
        """;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_file_of_version_1_is_read_and_goes_on()
    {
        Execute(Version1 + Rows);
        await using var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System);
        var (run, ended) = (RunId.Parse(Run), RunId.Parse(Ended));

        var row = (await store.FindAsync(run, default))!;
        Assert.Equal((RunStatus.Running, 1L, 3L, "default", null, 0, "d"), (row.Status, row.Epoch, row.LastSeq, row.Tenant, row.Parent, row.Depth, row.Summary.Detail));
        Assert.Equal((new BudgetState(100, 20, 30, 5), new BudgetState(null, 2, 3, 1)), (row.Money, row.Tokens));
        Assert.Equal("r", (await store.FindAsync(ended, default))!.Summary.Result);
        var journal = await store.ReadJournalAsync(run, 0, 10, default);
        Assert.Equal([EntryKind.RunCreated, EntryKind.EpochClaimed, EntryKind.StepCompleted], journal.Select(e => e.Kind));
        Assert.Equal(("s", "k", "result"), (journal[2].Scope, journal[2].Key, Encoding.UTF8.GetString(journal[2].Payload!.Value.Span)));
        Assert.All(journal, e => Assert.Equal(0, e.Chain.Length));
        Assert.Single(await store.ReadInboxAsync(run, 10, default));
        Assert.Single(await store.ReadWasteAsync(run, 10, default));
        Assert.Equal([ended], await store.FindEndedAsync(DateTimeOffset.MaxValue, 10, default));
        Assert.Equal(
            [new BudgetRow("tenant:default", LimitDimension.NanoUsd, new BudgetState(null, 27, 30, 5)), new BudgetRow("tenant:default", LimitDimension.Tokens, new BudgetState(null, 3, 3, 1))],
            await store.ReadBudgetAsync("tenant:default", default));

        // The next process takes the run over, as ever: its hold is lost on the tenant as well, and what is new is chained.
        var node = new NodeId(Guid.Parse("00000000-0000-0000-0000-000000000002"));
        await store.RegisterAsync(new NodeRegistration(node, "host", "boot", 2, 3), default);
        Assert.Equal([run], await store.FindClaimableAsync(node, 10, default));
        var claimed = Assert.IsType<ClaimOutcome.Claimed>(await store.ClaimAsync(run, node, default)).Run;
        Assert.Equal((new BudgetState(100, 50, 0, 35), 1, 1), (claimed.Money, claimed.Suspicion, claimed.LoneCrashes));
        Assert.Equal(new BudgetState(null, 57, 0, 35), (await store.ReadBudgetAsync("tenant:default", default))[0].State);
        var unit = new ChangeSet(run, new Fence(node, 2), new SystemIds(TimeProvider.System).NextRandom(), 5, TimeProvider.System.GetUtcNow(), [new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray())],
            new RunRow(RunStatus.Running, WaitReason.None, PauseCause.None, null, false, claimed.Summary), [new BudgetChange.Reserve("new", new Hold(10, 1) { InputTokens = 1 })], []);
        Assert.IsType<AppendOutcome.Committed>(await store.AppendAsync(unit, default));
        journal = await store.ReadJournalAsync(run, 0, 10, default);
        Assert.Null(RunStoreConformance.FirstBroken(run, [.. journal.Skip(3)]));
        Assert.IsType<CreateOutcome.Existing>(await store.CreateAsync(
            new NewRun(new RunId(new SystemIds(TimeProvider.System).NextRun()), "agent", "key", "hash", TimeProvider.System.GetUtcNow(), new JournalDraft(EntryKind.RunCreated, default), new RunSummary(), null, null), default));
    }

    [Fact]
    public async Task A_migrated_file_has_the_tables_of_a_new_one()
    {
        Execute(Version1 + Rows);
        using var other = new TempFolder();

        await SqliteStoreHost.Open(_folder.Path, TimeProvider.System).DisposeAsync();
        await SqliteStoreHost.Open(_folder.Path, TimeProvider.System).DisposeAsync();
        await SqliteStoreHost.Open(other.Path, TimeProvider.System).DisposeAsync();

        Assert.Equal(ColumnsOf(other), ColumnsOf(_folder));
    }

    [Theory]
    [InlineData("DROP TABLE events; DROP TABLE snapshots; ALTER TABLE runs DROP COLUMN pruned; PRAGMA user_version = 2")]
    [InlineData("DROP TABLE snapshots; ALTER TABLE runs DROP COLUMN pruned; PRAGMA user_version = 3")]
    [InlineData("DROP TABLE snapshots; PRAGMA user_version = 4")]
    public async Task A_file_of_a_later_version_gets_what_it_lacks(string backwards)
    {
        using var other = new TempFolder();
        foreach (var folder in new[] { _folder, other })
            await SqliteStoreHost.Open(folder.Path, TimeProvider.System).DisposeAsync();
        Execute(backwards);

        await SqliteStoreHost.Open(_folder.Path, TimeProvider.System).DisposeAsync();

        Assert.Equal(ColumnsOf(other), ColumnsOf(_folder));
    }

    /// <summary>Runs that ended before anybody could choose keep all their files.</summary>
    [Fact]
    public async Task Runs_of_version_3_refer_to_all_that_they_did()
    {
        Execute(Version1 + Rows);
        await SqliteStoreHost.Open(_folder.Path, TimeProvider.System).DisposeAsync();
        Execute("DROP TABLE snapshots; ALTER TABLE runs DROP COLUMN pruned; PRAGMA user_version = 3");

        await using var store = SqliteStoreHost.Open(_folder.Path, TimeProvider.System);

        var references = new List<string>();
        await foreach (var reference in store.ReadReferencesAsync(default))
            references.Add(reference.Address);
        Assert.Equal(["root", "address"], references);
    }

    [Fact]
    public void A_migration_that_fails_leaves_the_file_as_it_was()
    {
        Execute(Version1 + Rows + "CREATE TABLE schedules (name TEXT);");

        Assert.IsType<SqliteOpenOutcome.Refused>(SqliteStore.Open(new SqliteOptions { DataDirectory = _folder.Path }, TimeProvider.System, NullLogger.Instance));

        using var connection = Open(_folder);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT user_version, (SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'tenant'), (SELECT count(*) FROM budgets) FROM pragma_user_version";
        using var row = command.ExecuteReader();
        row.Read();
        Assert.Equal((1, 0, 4), (row.GetInt32(0), row.GetInt32(1), row.GetInt32(2)));
    }

    private void Execute(string sql)
    {
        using var connection = Open(_folder);
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    /// <summary>Order aside: a column that came later stands at the end.</summary>
    private static List<string> ColumnsOf(TempFolder folder)
    {
        using var connection = Open(folder);
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || coalesce(c.dflt_value, '') FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'
            UNION ALL SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
            ORDER BY 1
            """;
        using var rows = command.ExecuteReader();
        var found = new List<string>();
        while (rows.Read())
            found.Add(rows.GetString(0));
        return found;
    }

    private static SqliteConnection Open(TempFolder folder)
    {
        var connection = new SqliteConnection($"Data Source={folder["caisson.db"]};Pooling=False");
        connection.Open();
        return connection;
    }
}
