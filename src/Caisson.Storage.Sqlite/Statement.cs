using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>A prepared statement of the writer, its parameters set by position. Names in the SQL are $1, $2, …</summary>
internal sealed class Statement : IDisposable
{
    private readonly SqliteCommand _command;
    private readonly SqliteParameter[] _parameters;

    internal Statement(SqliteConnection connection, string sql, int parameters = 0)
    {
        _command = connection.CreateCommand();
        _command.CommandText = sql;
        _parameters = new SqliteParameter[parameters];
        for (var i = 0; i < parameters; i++)
        {
            _parameters[i] = new SqliteParameter($"${i + 1}", DBNull.Value);
            _command.Parameters.Add(_parameters[i]);
        }

        _command.Prepare();
    }

    internal int Run(params ReadOnlySpan<object?> values)
    {
        Set(values);
        return _command.ExecuteNonQuery();
    }

    internal object? Value(params ReadOnlySpan<object?> values)
    {
        Set(values);
        return _command.ExecuteScalar();
    }

    internal SqliteDataReader Rows(params ReadOnlySpan<object?> values)
    {
        Set(values);
        return _command.ExecuteReader();
    }

    private void Set(ReadOnlySpan<object?> values)
    {
        for (var i = 0; i < values.Length; i++)
            _parameters[i].Value = values[i] ?? DBNull.Value;
    }

    public void Dispose() => _command.Dispose();
}
