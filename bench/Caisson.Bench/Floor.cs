using System.Diagnostics;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Bench;

/// <summary>What the disk can do by itself: append 2 KiB and sync, one after another.</summary>
internal static class Floor
{
    internal static double[] Syncs(string folder, int count)
    {
        var path = Path.Combine(folder, "floor");
        var block = new byte[2048];
        new Random(1).NextBytes(block);
        var times = new double[count];
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Create, FileAccess.Write);
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * block.Length);
            RandomAccess.FlushToDisk(file);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return times;
    }
}

/// <summary>What SQLite costs by itself, with the store's settings: one row of 2 KiB, one commit.</summary>
internal static class BareSqlite
{
    internal static double[] Commits(string folder, int count)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(folder, "bare.db")};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB) STRICT";
        command.ExecuteNonQuery();
        var block = new byte[2048];
        new Random(1).NextBytes(block);
        command.CommandText = "INSERT INTO t (b) VALUES ($b)";
        command.Parameters.AddWithValue("$b", block);
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
}

internal static class Statistics
{
    internal static double Percentile(double[] values, double part)
    {
        var sorted = values.Order().ToArray();
        return sorted[Math.Min(sorted.Length - 1, (int)(part * sorted.Length))];
    }

    internal static string Spread(IEnumerable<double> values, string format)
    {
        var sorted = values.Order().ToArray();
        return string.Create(System.Globalization.CultureInfo.InvariantCulture,
            $"{sorted[sorted.Length / 2].ToString(format, System.Globalization.CultureInfo.InvariantCulture)} [{sorted[0].ToString(format, System.Globalization.CultureInfo.InvariantCulture)}–{sorted[^1].ToString(format, System.Globalization.CultureInfo.InvariantCulture)}]");
    }
}
