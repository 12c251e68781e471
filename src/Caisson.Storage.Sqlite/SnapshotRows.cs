using Caisson.Core.Stores;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Saved workspaces that somebody keeps. Few, and changed by hand: its statements are not kept prepared.</summary>
internal static class SnapshotRows
{
    /// <summary>On the writer's thread.</summary>
    internal static (bool, bool) Add(SqliteConnection connection, SnapshotRecord snapshot)
    {
        using var statement = new Statement(connection, "INSERT INTO snapshots (snapshot_id, root, box, run_id, seq, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", 6);
        statement.Run(snapshot.Id, snapshot.Root, snapshot.Box, snapshot.Run?.ToString(), snapshot.Seq, RunWrites.Ms(snapshot.At));
        return (true, true);
    }

    /// <summary>On the writer's thread.</summary>
    internal static (bool, bool) Remove(SqliteConnection connection, string id)
    {
        using var statement = new Statement(connection, "DELETE FROM snapshots WHERE snapshot_id = ?1", 1);
        var removed = statement.Run(id) > 0;
        return (removed, removed);
    }

    internal static Task<IReadOnlyList<SnapshotRecord>> ListAsync(ReadConnections connections, CancellationToken cancellationToken) =>
        connections.ListAsync("SELECT snapshot_id, root, box, run_id, seq, at FROM snapshots ORDER BY id", [],
            r => new SnapshotRecord(r.GetString(0), r.GetString(1), r.GetString(2), r.RunOrNull(3), r.GetInt64(4), r.At(5)), cancellationToken);
}
