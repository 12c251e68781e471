using Caisson.Storage.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Sqlite;

public sealed class CheckpointerTests
{
    [Fact]
    public void A_log_that_has_grown_long_is_emptied_between_two_batches()
    {
        var folder = Directory.CreateTempSubdirectory("cs-").FullName;
        var path = Path.Combine(folder, "x.db");
        var clock = new FakeTimeProvider();
        var turns = 0;
        using (var writer = Open(path))
        using (new Checkpointer(Open(path), path + "-wal", 4096, 1 << 20, work => { turns++; return work(); }, _ => { }, clock, NullLogger.Instance))
        {
            Fill(writer, 100_000);
            clock.Advance(TimeSpan.FromSeconds(1));
            Assert.True(new FileInfo(path + "-wal").Length > 100_000, "a short log is only copied");
            Assert.Equal(0, turns);

            Fill(writer, 2_000_000);
            clock.Advance(TimeSpan.FromSeconds(1));
            Assert.Equal(0, new FileInfo(path + "-wal").Length);
            Assert.Equal(1, turns);
        }

        Directory.Delete(folder, recursive: true);
    }

    private static SqliteConnection Open(string path)
    {
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var pragma = connection.CreateCommand();
        pragma.CommandText = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS t (b BLOB)";
        pragma.ExecuteNonQuery();
        return connection;
    }

    private static void Fill(SqliteConnection connection, int bytes)
    {
        using var insert = connection.CreateCommand();
        insert.CommandText = "INSERT INTO t VALUES (zeroblob($n))";
        insert.Parameters.AddWithValue("$n", bytes);
        insert.ExecuteNonQuery();
    }
}
