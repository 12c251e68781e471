using System.Globalization;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// What the writer does for each kind of unit. Every method first decides on reads alone and only then writes, so that
/// a refused unit has written nothing. Runs on the writer's thread only.
/// </summary>
internal sealed class RunWrites(SqliteConnection connection, TimeProvider clock) : IDisposable
{
    private const int SchemaVersion = 1;

    private readonly Statement _byKey = new(connection, "SELECT run_id, request_hash FROM runs WHERE idempotency_key = $1", 1);
    private readonly Statement _insertRun = new(connection, """
        INSERT INTO runs (run_id, agent, status, created_at, updated_at, due_at, last_seq, idempotency_key, request_hash, summary)
        VALUES ($1, $2, $3, $4, $4, $4, 1, $5, $6, $7) RETURNING id
        """, 7);
    private readonly Statement _insertEntry = new(connection, """
        INSERT INTO journal (run, seq, epoch, at, kind, scope, key, attempt, append_id, schema, body, payload, blob)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        """, 13);
    private readonly Statement _insertBudget = new(connection, "INSERT INTO budgets (node, dimension, cap) VALUES ($1, $2, $3)", 3);
    private readonly Statement _state = new(connection, "SELECT id, status, owner, epoch, last_seq, due_at FROM runs WHERE run_id = $1", 1);
    private readonly Statement _appendIdAt = new(connection, "SELECT append_id FROM journal WHERE run = $1 AND seq = $2", 2);
    private readonly Statement _updateRun = new(connection, """
        UPDATE runs SET status = $2, waiting = $3, paused = $4, updated_at = $5, ended_at = $6, due_at = $7, owner = $8, last_seq = $9, summary = $10 WHERE id = $1
        """, 10);
    private readonly Statement _nodeIsDead = new(connection, "SELECT dead_at IS NOT NULL FROM nodes WHERE node = $1", 1);
    private readonly Statement _claim = new(connection, """
        UPDATE runs SET status = $2, waiting = 0, owner = $3, epoch = $4, last_seq = $5, updated_at = $6, due_at = $6 WHERE id = $1
        """, 6);
    private readonly Statement _holdsOf = new(connection, "SELECT step_key, epoch, nano_usd, tokens FROM holds WHERE run = $1", 1);
    private readonly Statement _insertInput = new(connection, "INSERT INTO inbox (run, input_id, kind, payload, at) VALUES ($1, $2, $3, $4, $5)", 5);
    private readonly Statement _inputExists = new(connection, "SELECT 1 FROM inbox WHERE run = $1 AND input_id = $2", 2);
    private readonly Statement _makeDue = new(connection, "UPDATE runs SET due_at = min(coalesce(due_at, $2), $2) WHERE id = $1", 2);
    private readonly Statement _consume = new(connection, "UPDATE inbox SET consumed_seq = $2 WHERE id = $1 AND consumed_seq IS NULL", 2);
    private readonly Statement _hasInput = new(connection, "SELECT EXISTS (SELECT 1 FROM inbox WHERE run = $1 AND consumed_seq IS NULL)", 1);
    private readonly BudgetWrites _budgets = new(connection);

    internal (CreateOutcome, bool) Create(NewRun run)
    {
        if (run.IdempotencyKey is { } key)
        {
            using var known = _byKey.Rows(key);
            if (known.Read())
            {
                var existing = RunId.Parse(known.GetString(0));
                return (known.GetString(1) == run.RequestHash ? new CreateOutcome.Existing(existing) : new CreateOutcome.KeyMismatch(existing), false);
            }
        }

        var id = (long)_insertRun.Value(run.Id.ToString(), run.Agent, (int)RunStatus.Ready, Ms(run.At), run.IdempotencyKey, run.RequestHash, Json(run.Summary))!;
        Insert(id, 1, 0, run.At, Guid.Empty, run.Created);
        var node = BudgetNodes.Of(run.Id);
        _insertBudget.Run(node, (int)LimitDimension.NanoUsd, run.NanoUsdCap);
        _insertBudget.Run(node, (int)LimitDimension.Tokens, run.TokensCap);
        return (new CreateOutcome.Created(), true);
    }

    internal (ClaimedRow?, bool) Claim(RunId run, NodeId node)
    {
        var now = clock.GetUtcNow();
        if (Read(run) is not { } row || row.Status.IsFinal())
            return (null, false);
        var reason = row.Owner is null ? row.DueAt <= Ms(now) ? (_hasInput.Value(row.Id) is 1L ? "input" : row.Epoch == 0 ? "start" : "due") : null
            : row.Owner == node.ToString() || _nodeIsDead.Value(row.Owner) is not 0L ? "recovery"
            : null;
        if (reason is null)
            return (null, false);

        var epoch = row.Epoch + 1;
        var doubtful = new List<DoubtfulHold>();
        using (var holds = _holdsOf.Rows(row.Id))
        {
            while (holds.Read())
                doubtful.Add(new DoubtfulHold(holds.GetString(0), holds.GetInt64(1), holds.GetInt64(2), holds.GetInt64(3)));
        }

        foreach (var hold in doubtful)
            _budgets.Doubt(row.Id, run, hold.StepKey, "owner_lost", now);
        var body = JournalBodies.EpochClaimed(node.ToString(), reason, doubtful);
        var seq = row.LastSeq + 1;
        Insert(row.Id, seq, epoch, now, Guid.Empty, new JournalDraft(EntryKind.EpochClaimed, body));
        _claim.Run(row.Id, (int)RunClaims.StatusAfter(row.Status), node.ToString(), epoch, seq, Ms(now));
        return (new ClaimedRow(row.Id), true);
    }

    internal (AppendOutcome, bool) Append(ChangeSet unit)
    {
        if (Read(unit.Run) is not { } row)
            return (new AppendOutcome.Fenced(), false);
        if (row.Owner != unit.Fence.Owner.ToString() || row.Epoch != unit.Fence.Epoch || row.LastSeq + 1 != unit.FirstSeq || row.Status.IsFinal())
        {
            // The answer to this very unit may have been lost; then it is answered again, not refused.
            return unit.Entries.Count > 0 && _appendIdAt.Value(row.Id, unit.FirstSeq) is byte[] there && there.AsSpan().SequenceEqual(unit.AppendId.ToByteArray())
                ? (new AppendOutcome.Committed(), false)
                : (new AppendOutcome.Fenced(), false);
        }

        if (Wanted(unit.Budget) is { } wanted && _budgets.Check(unit.Run, wanted) is { } denial)
            return (new AppendOutcome.Denied(denial), false);

        var seq = row.LastSeq;
        foreach (var entry in unit.Entries)
            Insert(row.Id, ++seq, row.Epoch, unit.At, unit.AppendId, entry);
        foreach (var change in unit.Budget)
            _budgets.Apply(row.Id, unit.Run, row.Epoch, change, unit.At);
        foreach (var input in unit.ConsumedInputs)
            _consume.Run(input, seq);

        var state = unit.State;
        var due = state.DueAt is { } at ? Ms(at) : (long?)null;

        // An input that came between the owner's last look and this release must find the run due.
        if (state.Release && !state.Status.IsFinal() && _hasInput.Value(row.Id) is 1L)
            due = Ms(unit.At);
        _updateRun.Run(row.Id, (int)state.Status, (int)state.Waiting, (int)state.Paused, Ms(unit.At),
            state.Status.IsFinal() ? Ms(unit.At) : null, due, state.Release ? null : row.Owner, seq, Json(state.Summary));
        return (new AppendOutcome.Committed(), true);
    }

    internal (PostOutcome, bool) Post(NewInput input)
    {
        var now = clock.GetUtcNow();
        if (Read(input.Run) is not { } row)
            return (new PostOutcome.NotFound(), false);
        if (row.Status.IsFinal())
            return (new PostOutcome.Ended(row.Status), false);
        if (_inputExists.Value(row.Id, input.InputId) is not null)
            return (new PostOutcome.Duplicate(), false);
        _insertInput.Run(row.Id, input.InputId, (int)input.Kind, input.Payload.ToArray(), Ms(now));
        _makeDue.Run(row.Id, Ms(now));
        return (new PostOutcome.Posted(), true);
    }

    /// <summary>The holds of one unit are admitted together or not at all, so they count together.</summary>
    private static Hold? Wanted(IReadOnlyList<BudgetChange> changes)
    {
        Hold? sum = null;
        foreach (var change in changes)
        {
            if (change is BudgetChange.Reserve { Hold: var hold })
                sum = sum is null ? hold : new Hold(Sum(sum.NanoUsd, hold.NanoUsd), Sum(sum.Tokens, hold.Tokens));
        }

        return sum;

        static long Sum(long a, long b) => (long)Int128.Min((Int128)a + b, long.MaxValue);
    }

    private sealed record Row(long Id, RunStatus Status, string? Owner, long Epoch, long LastSeq, long? DueAt);

    private Row? Read(RunId run)
    {
        using var rows = _state.Rows(run.ToString());
        return rows.Read()
            ? new Row(rows.GetInt64(0), (RunStatus)rows.GetInt32(1), rows.IsDBNull(2) ? null : rows.GetString(2), rows.GetInt64(3), rows.GetInt64(4), rows.IsDBNull(5) ? null : rows.GetInt64(5))
            : null;
    }

    private void Insert(long run, long seq, long epoch, DateTimeOffset at, Guid appendId, JournalDraft entry) =>
        _insertEntry.Run(run, seq, epoch, Ms(at), (int)entry.Kind, entry.Scope, entry.Key, entry.Attempt, appendId.ToByteArray(), SchemaVersion,
            Bytes(entry.Body), entry.Payload is { } payload ? Bytes(payload) : null, entry.Blob);

    private static byte[] Bytes(ReadOnlyMemory<byte> memory) =>
        System.Runtime.InteropServices.MemoryMarshal.TryGetArray(memory, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length
            ? segment.Array
            : memory.ToArray();

    private static byte[] Json(RunSummary summary) => JsonSerializer.SerializeToUtf8Bytes(summary, StorageJson.Default.RunSummary);

    internal static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();

    public void Dispose()
    {
        foreach (var statement in new[] { _byKey, _insertRun, _insertEntry, _insertBudget, _state, _appendIdAt, _updateRun, _nodeIsDead, _claim, _holdsOf, _insertInput, _inputExists, _makeDue, _consume, _hasInput })
            statement.Dispose();
        _budgets.Dispose();
    }
}

/// <param name="Id">The row's key.</param>
internal sealed record ClaimedRow(long Id);
