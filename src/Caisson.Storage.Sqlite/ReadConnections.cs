using System.Collections.Concurrent;
using Caisson.Contracts;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// Reads on connections of their own, each one short: a reader in the middle of something would keep the write-ahead log
/// from shrinking. A connection keeps its statements prepared, since preparing one takes longer than most of them run.
/// </summary>
internal sealed class ReadConnections(string connectionString) : IDisposable
{
    private const int MostIdle = 8;

    private readonly ConcurrentBag<Connection> _idle = [];
    private bool _disposed;

    internal Task<IReadOnlyList<T>> ListAsync<T>(string sql, IReadOnlyList<(string Name, object Value)> values, Func<SqliteDataReader, T> map, CancellationToken cancellationToken)
    {
        // SQLite has no asynchronous reads: what is answered is answered at once.
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            var connection = _idle.TryTake(out var idle) ? idle : new Connection(connectionString);
            try
            {
                return Task.FromResult<IReadOnlyList<T>>(connection.List(sql, values, map));
            }
            finally
            {
                Return(connection);
            }
        }
        catch (SqliteException problem) when (problem.SqliteErrorCode is 11 or 26)
        {
            return Task.FromException<IReadOnlyList<T>>(new CaissonException(ErrorCodes.DatabaseCorrupt, "the database is damaged: restore the data directory from a backup", inner: problem));
        }
        catch (SqliteException problem)
        {
            return Task.FromException<IReadOnlyList<T>>(new CaissonException(ErrorCodes.StorageFailed, $"the database could not be read: {problem.Message}", inner: problem));
        }
        catch (Exception problem) when (problem is CaissonException or OperationCanceledException)
        {
            return Task.FromException<IReadOnlyList<T>>(problem);
        }
    }

    private void Return(Connection connection)
    {
        if (!_disposed && _idle.Count < MostIdle)
            _idle.Add(connection);
        else
            connection.Dispose();
    }

    public void Dispose()
    {
        _disposed = true;
        while (_idle.TryTake(out var connection))
            connection.Dispose();
    }

    /// <summary>One thread at a time.</summary>
    private sealed class Connection : IDisposable
    {
        // Filters of lists make many different texts; the usual ones are few.
        private const int MostPrepared = 32;

        private readonly SqliteConnection _connection;
        private readonly Dictionary<string, SqliteCommand> _prepared = new(StringComparer.Ordinal);

        internal Connection(string connectionString)
        {
            _connection = new SqliteConnection(connectionString);
            _connection.Open();
        }

        internal List<T> List<T>(string sql, IReadOnlyList<(string Name, object Value)> values, Func<SqliteDataReader, T> map)
        {
            if (!_prepared.TryGetValue(sql, out var command))
                command = Prepare(sql, values);
            for (var i = 0; i < values.Count; i++)
                command.Parameters[i].Value = values[i].Value;
            using var reader = command.ExecuteReader();
            var rows = new List<T>();
            while (reader.Read())
                rows.Add(map(reader));
            return rows;
        }

        private SqliteCommand Prepare(string sql, IReadOnlyList<(string Name, object Value)> values)
        {
            if (_prepared.Count >= MostPrepared)
                Forget();
            var command = _connection.CreateCommand();
            command.CommandText = sql;
            foreach (var (name, value) in values)
                command.Parameters.AddWithValue(name, value);
            return _prepared[sql] = command;
        }

        private void Forget()
        {
            foreach (var command in _prepared.Values)
                command.Dispose();
            _prepared.Clear();
        }

        public void Dispose()
        {
            Forget();
            _connection.Dispose();
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
