using System.Diagnostics;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Bench;

/// <summary>What the machine can do by itself, measured in the same round as what is compared with it.</summary>
internal static class Floors
{
    private const int Payload = 2048;

    /// <summary>Append 2 KiB to a file and sync, one after another: milliseconds each.</summary>
    internal static double[] Appends(string folder, int count)
    {
        var block = Noise.Bytes(Payload);
        var times = new double[count];
        using SafeFileHandle file = File.OpenHandle(Path.Combine(folder, "floor"), FileMode.Create, FileAccess.Write);
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * block.Length);
            RandomAccess.FlushToDisk(file);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return times;
    }

    /// <summary>SQLite with full sync: one row of 2 KiB, one commit: milliseconds each.</summary>
    internal static double[] Commits(string folder, int count)
    {
        using var connection = Open(Path.Combine(folder, "commits.db"), "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB) STRICT");
        using var insert = Command(connection, "INSERT INTO t (b) VALUES ($1)", Noise.Bytes(Payload));
        var times = new double[count];
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            insert.ExecuteNonQuery();
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return times;
    }

    /// <summary>
    /// The least that a durable step costs in SQLite: one thread writes, for 500 runs in turn, an entry with its key, its
    /// hash and 2 KiB, unique by run and number, in commits of 500. Entries a second.
    /// </summary>
    internal static double Writer(string folder, int entries)
    {
        const int batch = 500;
        using var connection = Open(Path.Combine(folder, "writer.db"),
            "CREATE TABLE journal (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, seq INTEGER NOT NULL, key TEXT, body BLOB, payload BLOB, chain BLOB, UNIQUE (run, seq)) STRICT");
        using var begin = Command(connection, "BEGIN IMMEDIATE");
        using var commit = Command(connection, "COMMIT");
        using var insert = Command(connection, "INSERT INTO journal (run, seq, key, body, payload, chain) VALUES ($1, $2, $3, $4, $5, $6)", 0L, 0L, "", Noise.Bytes(150), Noise.Bytes(Payload), Noise.Bytes(32));
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < entries; i++)
        {
            if (i % batch == 0)
                begin.ExecuteNonQuery();
            insert.Parameters[0].Value = (long)(i % batch);
            insert.Parameters[1].Value = (long)(i / batch);
            insert.Parameters[2].Value = i.ToString("x64", CultureInfo.InvariantCulture);
            insert.ExecuteNonQuery();
            if (i % batch == batch - 1 || i == entries - 1)
                commit.ExecuteNonQuery();
        }

        return entries / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static SqliteConnection Open(string path, string table)
    {
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; {table}";
        command.ExecuteNonQuery();
        return connection;
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, params object[] values)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        for (var i = 0; i < values.Length; i++)
            command.Parameters.AddWithValue($"${i + 1}", values[i]);
        command.Prepare();
        return command;
    }
}

internal static class Noise
{
    internal static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    /// <summary>A result whose JSON has 2 KiB that do not compress.</summary>
    internal static string Result { get; } = Convert.ToBase64String(Bytes(1536 - 2))[..2046];
}
