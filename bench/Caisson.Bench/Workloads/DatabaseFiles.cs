using Microsoft.Data.Sqlite;

namespace Caisson.Bench.Workloads;

/// <summary>What a store takes on the disk: the database and the blobs, without the ballast that is kept for a full disk.</summary>
internal static class DatabaseFiles
{
    /// <summary>Of a store that is closed or does nothing at the moment.</summary>
    internal static long BytesAfterCheckpoint(string database)
    {
        using (var connection = new SqliteConnection($"Data Source={database};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA wal_checkpoint(TRUNCATE)";
            command.ExecuteNonQuery();
        }

        return new FileInfo(database).Length;
    }

    internal static long BytesIn(string folder)
    {
        var database = Directory.GetFiles(folder, "*.db").Single();
        var blobs = new DirectoryInfo(Path.Combine(folder, "blobs"));
        return BytesAfterCheckpoint(database) + (blobs.Exists ? blobs.EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length) : 0);
    }
}
