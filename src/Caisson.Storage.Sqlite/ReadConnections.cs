using Caisson.Contracts;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>Reads on pooled connections of their own, each one short: an idle reader would keep the write-ahead log from shrinking.</summary>
internal sealed class ReadConnections(string connectionString)
{
    internal async Task<IReadOnlyList<T>> ListAsync<T>(string sql, IReadOnlyList<(string Name, object Value)> values, Func<SqliteDataReader, T> map, CancellationToken cancellationToken)
    {
        try
        {
            await using var connection = new SqliteConnection(connectionString);
            await connection.OpenAsync(cancellationToken);
            await using var command = connection.CreateCommand();
            command.CommandText = sql;
            foreach (var (name, value) in values)
                command.Parameters.AddWithValue(name, value);
            await using var reader = await command.ExecuteReaderAsync(cancellationToken);
            var rows = new List<T>();
            while (await reader.ReadAsync(cancellationToken))
                rows.Add(map(reader));
            return rows;
        }
        catch (SqliteException problem) when (problem.SqliteErrorCode is 11 or 26)
        {
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, "the database is damaged: restore the data directory from a backup", inner: problem);
        }
        catch (SqliteException problem)
        {
            throw new CaissonException(ErrorCodes.StorageFailed, $"the database could not be read: {problem.Message}", inner: problem);
        }
    }
}

/// <summary>Columns as the types that they stand for.</summary>
internal static class Columns
{
    internal static string? Text(this SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    internal static long? Number(this SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetInt64(column);

    internal static byte[]? Bytes(this SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetFieldValue<byte[]>(column);

    internal static DateTimeOffset At(this SqliteDataReader row, int column) => DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));

    internal static DateTimeOffset? AtOrNull(this SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.At(column);

    internal static RunId Run(this SqliteDataReader row, int column) => RunId.Parse(row.GetString(column));

    internal static RunId? RunOrNull(this SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.Run(column);
}
