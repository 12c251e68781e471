using System.Diagnostics;
using Microsoft.Data.Sqlite;

namespace Caisson.Bench.Probes;

/// <summary>What SQLite costs by itself, with the store's settings: one row of 2 KiB, one commit.</summary>
internal static class SqliteProbe
{
    /// <returns>Milliseconds of each.</returns>
    internal static double[] Commits(string folder, int count)
    {
        using var connection = Open(Path.Combine(folder, "bare.db"));
        using var command = connection.CreateCommand();
        command.CommandText = "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB) STRICT";
        command.ExecuteNonQuery();
        command.CommandText = "INSERT INTO t (b) VALUES ($b)";
        command.Parameters.AddWithValue("$b", Payload.Bytes(2048));
        command.Prepare();
        var times = new double[count];
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            command.ExecuteNonQuery();
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return times;
    }

    internal static SqliteConnection Open(string path)
    {
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -65536";
        command.ExecuteNonQuery();
        return connection;
    }
}
