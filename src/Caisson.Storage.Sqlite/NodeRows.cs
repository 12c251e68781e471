using Caisson.Contracts;
using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// Leases of processes. The data directory's lock says that no other process lives, so registering declares all others
/// dead at once; nobody has to wait for a lease to run out. A connection of its own and the next turn: a renewal must not
/// queue behind the batches whose slowness it is there to survive.
/// </summary>
internal sealed class NodeRows(SqliteConnection connection, Writer writer, TimeProvider clock) : IDisposable
{
    internal void Register(NodeRegistration node)
    {
        try
        {
            RegisterOnce(node);
        }
        catch (SqliteException problem)
        {
            throw new CaissonException(problem.SqliteErrorCode == 13 ? ErrorCodes.DiskFull : ErrorCodes.StorageFailed, $"the database failed: {problem.Message}", inner: problem);
        }
    }

    private void RegisterOnce(NodeRegistration node)
    {
        writer.Between(() =>
        {
            var now = RunWrites.Ms(clock.GetUtcNow());
            using var transaction = connection.BeginTransaction();
            Suspect(node.Boot);
            Run("UPDATE nodes SET dead_at = $now WHERE dead_at IS NULL", ("$now", now));
            Run("DELETE FROM nodes WHERE dead_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs WHERE owner = nodes.node)");
            Run("INSERT INTO nodes (node, host, boot, pid, start_ticks, started_at) VALUES ($node, $host, $boot, $pid, $ticks, $now)",
                ("$node", node.Id.ToString()), ("$host", node.Host), ("$boot", node.Boot), ("$pid", node.Pid), ("$ticks", node.StartTicks), ("$now", now));
            transaction.Commit();
            return true;
        });
    }

    internal RenewOutcome Renew(NodeId node)
    {
        try
        {
            return writer.Between(() => Run("UPDATE nodes SET beat = beat + 1 WHERE node = $node AND dead_at IS NULL", ("$node", node.ToString()))) == 1
                ? RenewOutcome.Renewed
                : RenewOutcome.Fenced;
        }
        catch (SqliteException problem)
        {
            // Not asked again: a sync that failed and then succeeds proves nothing.
            if (problem.SqliteErrorCode == Checkpointer.IoError)
                writer.Fail(problem);
            throw new CaissonException(ErrorCodes.StorageFailed, $"the database failed: {problem.Message}", isTransient: true, inner: problem);
        }
    }

    internal void Retire(NodeId node) =>
        writer.Between(() => Run("UPDATE nodes SET dead_at = $now WHERE node = $node AND dead_at IS NULL", ("$now", RunWrites.Ms(clock.GetUtcNow())), ("$node", node.ToString())));

    /// <summary>
    /// A node that is still said to live did not end by itself. If its host lived on, one of the runs at work may be what
    /// killed it; if the host went down with it, nobody is to blame.
    /// </summary>
    private void Suspect(string boot)
    {
        var crashed = new List<(string Node, long AtWork)>();
        using (var command = connection.CreateCommand())
        {
            command.CommandText = "SELECT node, (SELECT count(*) FROM runs WHERE owner = nodes.node AND status = 2) FROM nodes WHERE dead_at IS NULL AND boot = $boot";
            command.Parameters.AddWithValue("$boot", boot);
            using var rows = command.ExecuteReader();
            while (rows.Read())
                crashed.Add((rows.GetString(0), rows.GetInt64(1)));
        }

        foreach (var (node, atWork) in crashed)
        {
            Run("UPDATE runs SET suspicion = suspicion + 1, lone_crashes = lone_crashes + $lone WHERE owner = $node AND status = 2",
                ("$lone", atWork == 1 ? 1 : 0), ("$node", node));
        }
    }

    private int Run(string sql, params ReadOnlySpan<(string Name, object Value)> values)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        foreach (var (name, value) in values)
            command.Parameters.AddWithValue(name, value);
        return command.ExecuteNonQuery();
    }

    public void Dispose() => connection.Dispose();
}
