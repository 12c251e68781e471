using Caisson.Contracts;
using Caisson.Storage.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.Sqlite;

/// <summary>Units of one batch: each whole, or not at all.</summary>
public sealed class WriterTests : IDisposable
{
    private readonly TempFolder _folder = new();

    [Fact]
    public async Task A_unit_that_is_refused_in_its_middle_leaves_nothing_and_its_neighbours_stay()
    {
        var connection = new SqliteConnection($"Data Source={Path.Combine(_folder.Path, "test.db")};Pooling=False");
        await connection.OpenAsync();
        Write(connection, "CREATE TABLE t (n INTEGER)");
        using (var writer = new Writer(connection, NullLogger.Instance))
        {
            await writer.DoAsync(() => (Write(connection, "INSERT INTO t VALUES (1)"), true));
            await writer.DoAsync(() => (Write(connection, "INSERT INTO t VALUES (2)"), false));
            await Assert.ThrowsAsync<CaissonException>(() => writer.DoAsync<int>(() =>
            {
                Write(connection, "INSERT INTO t VALUES (3)");
                throw new CaissonException(ErrorCodes.KeyMissing, "no key");
            }));
            await writer.DoAsync(() => (Write(connection, "INSERT INTO t VALUES (4)"), true));

            Assert.Equal(1 + 4, await writer.DoAsync(() => (Number(connection, "SELECT sum(n) FROM t"), true)));
        }
    }

    public void Dispose() => _folder.Dispose();

    private static int Write(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteNonQuery();
    }

    private static int Number(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToInt32(command.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
    }
}
