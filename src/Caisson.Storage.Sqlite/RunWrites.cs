using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// What the writer does for each kind of unit. Every method first decides on reads alone and only then writes, so that
/// a refused unit has written nothing. Runs on the writer's thread only.
/// <para>
/// The append of one completed step is the path that everything waits for: one read of the run's row and of its owner's,
/// one entry, one update of the row. What else a unit may hold costs only the units that hold it.
/// </para>
/// </summary>
internal sealed class RunWrites(SqliteConnection connection, JournalRows journal, RunCreation creation, BudgetWrites budgets, EventRows events, SealedColumns columns, TimeProvider clock) : IDisposable
{
    private readonly Statement _state = new(connection, """
        SELECT r.id, r.status, r.owner, r.epoch, r.last_seq, r.due_at, r.chain, r.append_id, n.node IS NOT NULL, r.path, r.tenant, r.suspicion, r.min_engine
        FROM runs r LEFT JOIN nodes n ON n.node = r.owner AND n.dead_at IS NULL WHERE r.run_id = ?1
        """, 1);
    private readonly Statement _appendIdAt = new(connection, "SELECT append_id FROM journal WHERE run = ?1 AND seq = ?2", 2);
    private readonly Statement _goOn = new(connection, """
        UPDATE runs SET waiting = ?2, paused = ?3, updated_at = ?4, last_seq = ?5, summary = ?6, chain = ?7, append_id = ?8 WHERE id = ?1
        """, 8);
    private readonly Statement _move = new(connection, "UPDATE runs SET status = ?2, ended_at = ?3, due_at = ?4, owner = ?5 WHERE id = ?1", 5);
    private readonly Statement _absolve = new(connection, "UPDATE runs SET suspicion = 0, lone_crashes = 0 WHERE id = ?1", 1);
    private readonly Statement _isAlive = new(connection, "SELECT 1 FROM nodes WHERE node = ?1 AND dead_at IS NULL", 1);
    private readonly Statement _claim = new(connection, """
        UPDATE runs SET status = ?2, waiting = 0, owner = ?3, epoch = ?4, last_seq = ?5, updated_at = ?6, due_at = ?6, chain = ?7, min_engine = ?8 WHERE id = ?1
        """, 8);
    private readonly Statement _holdsOf = new(connection, "SELECT step_key, epoch, nano_usd, tokens FROM holds WHERE run = ?1", 1);
    private readonly Statement _markUnconfirmed = new(connection, "UPDATE runs SET unconfirmed = 1 WHERE id = ?1", 1);
    private readonly Statement _markPruned = new(connection, "UPDATE runs SET pruned = 1 WHERE id = ?1", 1);
    private readonly Statement _summaryOf = new(connection, "SELECT summary FROM runs WHERE id = ?1 AND unconfirmed = 1", 1);
    private readonly Statement _confirm = new(connection, "UPDATE runs SET unconfirmed = 0, summary = ?2 WHERE id = ?1", 2);
    private readonly Statement _isForked = new(connection, "SELECT 1 FROM runs WHERE origin = ?1 AND ended_at IS NULL", 1);
    private readonly Statement _insertInput = new(connection, "INSERT INTO inbox (run, input_id, kind, payload, at) VALUES (?1, ?2, ?3, ?4, ?5)", 5);
    private readonly Statement _inputExists = new(connection, "SELECT 1 FROM inbox WHERE run = ?1 AND input_id = ?2", 2);
    private readonly Statement _makeDue = new(connection, "UPDATE runs SET due_at = min(coalesce(due_at, ?2), ?2) WHERE id = ?1", 2);
    private readonly Statement _consume = new(connection, "UPDATE inbox SET consumed_seq = ?2 WHERE id = ?1 AND run = ?3 AND consumed_seq IS NULL", 3);
    private readonly Statement _hasInput = new(connection, "SELECT EXISTS (SELECT 1 FROM inbox WHERE run = ?1 AND consumed_seq IS NULL)", 1);

    internal (bool Claimed, bool Keep) Claim(RunId run, NodeId node)
    {
        var now = clock.GetUtcNow();
        if (_isAlive.Value(node.ToString()) is null || Read(run, withPath: true) is not { } row || row.Status.IsFinal() || row.MinEngine > EngineVersion.Level)
            return (false, false);
        var reason = row.Owner is null ? row.DueAt <= Ms(now) ? (_hasInput.Value(row.Id) is 1L ? "input" : row.Epoch == 0 ? "start" : "due") : null
            : row.Owner == node.ToString() || !row.OwnerLives ? "recovery"
            : null;
        if (reason is null)
            return (false, false);

        var epoch = row.Epoch + 1;
        var doubtful = Holds(row.Id);
        foreach (var hold in doubtful)
            budgets.Doubt(row.Id, row.Path, hold.StepKey, "owner_lost", now);
        var entry = new JournalDraft(EntryKind.EpochClaimed, JournalBodies.EpochClaimed(node.ToString(), reason, doubtful));
        var seq = row.LastSeq + 1;
        var chain = JournalRows.Next(columns.OpenOrNull(SealedColumns.Head(run), row.Chain), run, seq, epoch, now, entry);
        journal.Insert(row.Id, run, row.Tenant, seq, epoch, now, Guid.Empty.ToByteArray(), entry, chain);
        _claim.Run(row.Id, (int)RunClaims.StatusAfter(row.Status), node.ToString(), epoch, seq, Ms(now), columns.Seal(row.Tenant, SealedColumns.Head(run), chain), EngineVersion.Level);
        return (true, true);
    }

    /// <param name="summary">The unit's summary as JSON.</param>
    internal (AppendOutcome, bool) Append(ChangeSet unit, byte[] summary)
    {
        if (Read(unit.Run, withPath: unit.Budget.Count > 0) is not { } row)
            return (new AppendOutcome.Fenced(), false);
        var appendId = unit.AppendId.ToByteArray();

        // The answer to this very unit may have been lost; then it is answered again, not refused.
        if (Same(row.AppendId, appendId))
            return (new AppendOutcome.Committed(), false);
        if (row.Owner != unit.Fence.Owner.ToString() || row.Epoch != unit.Fence.Epoch || row.LastSeq + 1 != unit.FirstSeq || row.Status.IsFinal() || !row.OwnerLives)
            return (Same(_appendIdAt.Value(row.Id, unit.FirstSeq), appendId) ? new AppendOutcome.Committed() : new AppendOutcome.Fenced(), false);
        if (Amounts.Reserved(unit.Budget) is { } wanted && budgets.Check(row.Path, wanted, Amounts.Kept(unit.Budget)) is { } denial)
            return (new AppendOutcome.Denied(denial), false);

        var (seq, chain, progressed) = (row.LastSeq, columns.OpenOrNull(SealedColumns.Head(unit.Run), row.Chain), false);
        foreach (var entry in unit.Entries)
        {
            chain = JournalRows.Next(chain, unit.Run, ++seq, row.Epoch, unit.At, entry);
            journal.Insert(row.Id, unit.Run, row.Tenant, seq, row.Epoch, unit.At, appendId, entry, chain);
            progressed |= entry.Kind == EntryKind.StepCompleted;
        }

        foreach (var change in unit.Budget)
            budgets.Apply(row.Id, row.Path, row.Epoch, change, unit.At);
        foreach (var input in unit.ConsumedInputs)
            _consume.Run(input, seq, row.Id);
        foreach (var happened in unit.Events)
            events.Add(row.Id, unit.Run, row.Tenant, happened);
        foreach (var child in unit.Children)
            creation.Create(child);
        var state = unit.State;
        var ends = state.Status.IsFinal();
        foreach (var post in unit.Posts)
        {
            // The row still shows the run alive that ends with this unit.
            if (!ends || post.Run != unit.Run)
                Post(post);
        }

        var due = MsOrNull(state.DueAt);

        // An input that came between the owner's last look and this release must find the run due.
        if (state.Release && !ends && _hasInput.Value(row.Id) is 1L)
            due = Ms(unit.At);
        _goOn.Run(row.Id, (int)state.Waiting, (int)state.Paused, Ms(unit.At), seq, columns.Seal(row.Tenant, SealedColumns.Summary(unit.Run), summary),
            chain is null ? null : columns.Seal(row.Tenant, SealedColumns.Head(unit.Run), chain), appendId);
        if (progressed && row.IsSuspect)
            _absolve.Run(row.Id);

        // The columns that indexes are made of are written only where they change: SQLite would renew each entry otherwise.
        var released = ends || state.Release;
        if (state.Status != row.Status || released || due != row.DueAt)
            _move.Run(row.Id, (int)state.Status, ends ? MsOrNull(unit.At) : null, ends ? null : due, released ? null : row.Owner);
        if (ends && state.Summary.Unconfirmed)
            _markUnconfirmed.Run(row.Id);
        if (ends && state.Summary.Kept is not null)
            _markPruned.Run(row.Id);
        return (new AppendOutcome.Committed(), true);
    }

    /// <summary>Nothing of the run acts any more. Its journal is closed: the row alone tells.</summary>
    internal (bool, bool) ConfirmEnd(RunId run)
    {
        if (Read(run) is not { } row || !row.Status.IsFinal() || _summaryOf.Value(row.Id) is not byte[] stored || Reads.Summary(columns, run, stored) is not { Unconfirmed: true } summary)
            return (false, false);
        _confirm.Run(row.Id, columns.Seal(row.Tenant, SealedColumns.Summary(run), Json(summary with { Unconfirmed = false, Detail = UnconfirmedEnds.Later })));
        return (true, true);
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
        _insertInput.Run(row.Id, input.InputId, (int)input.Kind, columns.Seal(row.Tenant, SealedColumns.Input(input.Run, input.InputId), input.Payload), Ms(now));
        _makeDue.Run(row.Id, Ms(now));
        return (new PostOutcome.Posted(), true);
    }

    internal bool IsEnded(RunId run) => Read(run) is { } row && row.Status.IsFinal();

    /// <summary>An ended run whose holds nobody settled: they would be held for ever on the nodes above. <c>null</c> where it lives or is gone, or a live fork needs it.</summary>
    internal long? Close(RunId run)
    {
        if (Read(run, withPath: true) is not { } row || !row.Status.IsFinal() || _isForked.Value(run.ToString()) is not null)
            return null;
        foreach (var hold in Holds(row.Id))
            budgets.Doubt(row.Id, row.Path, hold.StepKey, "deleted", clock.GetUtcNow());
        return row.Id;
    }

    private List<DoubtfulHold> Holds(long row)
    {
        var found = new List<DoubtfulHold>();
        using var holds = _holdsOf.Rows(row);
        while (holds.Read())
            found.Add(new DoubtfulHold(holds.GetString(0), holds.GetInt64(1), holds.GetInt64(2), holds.GetInt64(3)));
        return found;
    }

    /// <param name="Chain">As stored.</param>
    /// <param name="Path">Empty where it was not asked for.</param>
    private sealed record Row(long Id, RunStatus Status, string? Owner, long Epoch, long LastSeq, long? DueAt, byte[]? Chain, byte[]? AppendId, bool OwnerLives, string[] Path, string Tenant, bool IsSuspect, long MinEngine);

    private Row? Read(RunId run, bool withPath = false)
    {
        using var rows = _state.Rows(run.ToString());
        return rows.Read()
            ? new Row(rows.GetInt64(0), (RunStatus)rows.GetInt32(1), rows.IsDBNull(2) ? null : rows.GetString(2), rows.GetInt64(3), rows.GetInt64(4),
                rows.IsDBNull(5) ? null : rows.GetInt64(5), rows.IsDBNull(6) ? null : rows.GetBytes(6), rows.IsDBNull(7) ? null : rows.GetBytes(7),
                rows.GetBoolean(8), withPath ? rows.GetString(9).Split('\n') : [], rows.GetString(10), rows.GetInt64(11) > 0, rows.GetInt64(12))
            : null;
    }

    private static bool Same(object? stored, byte[] appendId) => stored is byte[] bytes && bytes.AsSpan().SequenceEqual(appendId);

    internal static byte[] Json(RunSummary summary) => JsonSerializer.SerializeToUtf8Bytes(summary, StorageJson.Default.RunSummary);

    internal static long Ms(DateTimeOffset at) => at.ToUnixTimeMilliseconds();

    internal static long? MsOrNull(DateTimeOffset? at) => at?.ToUnixTimeMilliseconds();

    public void Dispose()
    {
        foreach (var statement in new[] { _state, _appendIdAt, _goOn, _move, _absolve, _isAlive, _claim, _holdsOf, _markUnconfirmed, _markPruned, _summaryOf, _confirm, _isForked, _insertInput, _inputExists, _makeDue, _consume, _hasInput })
            statement.Dispose();
    }
}
