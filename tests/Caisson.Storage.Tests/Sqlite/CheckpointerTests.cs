using Caisson.Storage.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Sqlite;

public sealed class CheckpointerTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _clock = new();
    private long _pages;
    private int _turns;

    private string Database => _folder["x.db"];

    private long LogBytes => new FileInfo(Database + "-wal").Length;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_log_that_has_grown_long_begins_again_between_two_batches_in_the_same_file()
    {
        using var writer = Open(Database);
        using var checkpointer = Start(new LogLimits(Copy: 4096, Restart: 1 << 20, Shrink: 16 << 20, Reserve: 0));
        Fill(writer, 100_000);
        Look();
        Assert.Equal(0, _turns);

        Fill(writer, 2_000_000);
        Look();
        Assert.Equal(1, _turns);
        var length = LogBytes;
        Assert.True(length > 2_000_000, "the file stays");

        Fill(writer, 1_500_000);
        Assert.Equal(length, LogBytes);
    }

    [Fact]
    public void A_log_whose_file_has_grown_too_long_is_cut_off()
    {
        using var writer = Open(Database);
        using var checkpointer = Start(new LogLimits(Copy: 4096, Restart: 1 << 20, Shrink: 3 << 20, Reserve: 0));
        Fill(writer, 4_000_000);

        Look();

        Assert.Equal(0, LogBytes);
    }

    [Fact]
    public void What_was_not_written_is_not_copied()
    {
        using var writer = Open(Database);
        using var checkpointer = Start(new LogLimits(Copy: 4 << 20, Restart: 1, Shrink: 64 << 20, Reserve: 0));
        Fill(writer, 2_000_000);

        Look();

        Assert.Equal(0, _turns);
    }

    [Fact]
    public void The_file_is_made_in_advance_and_what_is_written_then_is_read_back()
    {
        const int reserve = (3 << 20) + 1000;
        using (var writer = Open(Database))
        using (Start(new LogLimits(Copy: 64 << 20, Restart: 64 << 20, Shrink: 64 << 20, Reserve: reserve)))
        {
            Fill(writer, 10_000);
            Look();
            Assert.Equal(reserve, LogBytes);

            Fill(writer, 500_000);
            Assert.Equal(reserve, LogBytes);

            // As a crash leaves it: what stands behind the last frame is nothing.
            Directory.CreateDirectory(_folder["copy"]);
            File.Copy(Database, _folder["copy/x.db"]);
            File.Copy(Database + "-wal", _folder["copy/x.db-wal"]);
        }

        using var copy = Open(_folder["copy/x.db"]);
        using var count = copy.CreateCommand();
        count.CommandText = "SELECT count(*) FROM t";
        Assert.Equal(2L, count.ExecuteScalar());
    }

    private Checkpointer Start(LogLimits limits) =>
        new(Open(Database), Database + "-wal", limits, () => _pages, work => { _turns++; return work(); }, _ => { }, _clock, NullLogger.Instance);

    private void Look() => _clock.Advance(TimeSpan.FromSeconds(0.25));

    private static SqliteConnection Open(string path)
    {
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var pragma = connection.CreateCommand();
        pragma.CommandText = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS t (b BLOB)";
        pragma.ExecuteNonQuery();
        return connection;
    }

    private void Fill(SqliteConnection connection, int bytes)
    {
        _pages += bytes / 4096;
        using var insert = connection.CreateCommand();
        insert.CommandText = "INSERT INTO t VALUES (zeroblob($n))";
        insert.Parameters.AddWithValue("$n", bytes);
        insert.ExecuteNonQuery();
    }
}
