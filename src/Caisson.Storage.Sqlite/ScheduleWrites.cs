using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Sealing;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Schedules, and what retention removes. Runs on the writer's thread only.</summary>
internal sealed class ScheduleWrites(SqliteConnection connection, RunCreation creation, RunWrites runs, SealedColumns columns) : IDisposable
{
    private readonly Statement _put = new(connection, """
        INSERT INTO schedules (name, uid, generation, definition, created_at, next_at, paused) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
        ON CONFLICT DO UPDATE SET uid = excluded.uid, generation = generation + 1, definition = excluded.definition, next_at = excluded.next_at, paused = excluded.paused
        """, 6);
    private readonly Statement _standsAt = new(connection, "SELECT 1 FROM schedules WHERE name = ?1 AND generation = ?2 AND next_at IS ?3", 3);
    private readonly Statement _isThere = new(connection, "SELECT 1 FROM schedules WHERE name = ?1", 1);
    private readonly Statement _remove = new(connection, "DELETE FROM schedules WHERE name = ?1", 1);
    private readonly Statement _stands = new(connection, "SELECT 1 FROM schedules WHERE name = ?1 AND generation = ?2 AND next_at = ?3 AND paused = 0", 3);
    private readonly Statement _move = new(connection, """
        UPDATE schedules SET next_at = ?2, last_run = coalesce(?3, last_run), last_at = iif(?3 IS NULL, last_at, ?4) WHERE name = ?1
        """, 4);
    private readonly Statement[] _delete =
    [
        .. new[] { "journal WHERE run", "inbox WHERE run", "holds WHERE run", "waste WHERE run", "events WHERE run", "runs WHERE id" }.Select(table => new Statement(connection, $"DELETE FROM {table} = ?1", 1)),
    ];
    private readonly Statement _deleteBudget = new(connection, "DELETE FROM budgets WHERE node = ?1", 1);

    internal (ScheduleRecord?, bool) Put(NewSchedule schedule)
    {
        if (schedule.Stands is { } stands && !IsAt(schedule.Name, stands))
            return (null, false);
        _put.Run(schedule.Name, schedule.Uid.ToByteArray(), columns.Seal(BudgetNodes.DefaultTenant, SealedColumns.Schedule(schedule.Name), schedule.Definition), RunWrites.Ms(schedule.At),
            RunWrites.MsOrNull(schedule.Next), schedule.Paused ? 1L : 0L);

        // Read as the readers do, so that there is one form of the record.
        using var command = connection.CreateCommand();
        command.CommandText = $"SELECT {LedgerReads.ScheduleColumns} FROM schedules WHERE name = $name";
        command.Parameters.AddWithValue("$name", schedule.Name);
        using var rows = command.ExecuteReader();
        rows.Read();
        return (LedgerReads.Schedule(columns, rows), true);
    }

    private bool IsAt(string name, ScheduleStand stands) => stands.Generation == 0
        ? _isThere.Value(name) is null
        : _standsAt.Value(name, stands.Generation, RunWrites.MsOrNull(stands.Next)) is not null;

    internal (bool, bool) Remove(string name)
    {
        var removed = _remove.Run(name) > 0;
        return (removed, removed);
    }

    internal (bool Fired, bool Keep) Fire(ScheduleFire fire)
    {
        if (_stands.Value(fire.Name, fire.Generation, RunWrites.Ms(fire.From)) is null)
            return (false, false);
        string? run = null;
        if (fire.Run is { } wanted)
        {
            var created = creation.Create(wanted).Item1;
            run = (created is CreateOutcome.Existing existing ? existing.Run : created is CreateOutcome.KeyMismatch mismatch ? mismatch.Run : wanted.Id).ToString();
        }

        foreach (var post in fire.Posts)
            runs.Post(post);
        _move.Run(fire.Name, RunWrites.MsOrNull(fire.To), run, RunWrites.Ms(fire.From));
        return (true, true);
    }

    internal (bool, bool) Delete(RunId run)
    {
        if (runs.Close(run) is not { } row)
            return (false, false);
        foreach (var statement in _delete)
            statement.Run(row);
        _deleteBudget.Run(BudgetNodes.Of(run));
        return (true, true);
    }

    public void Dispose()
    {
        foreach (var statement in (Statement[])[_put, _standsAt, _isThere, _remove, _stands, _move, .. _delete, _deleteBudget])
            statement.Dispose();
    }
}
