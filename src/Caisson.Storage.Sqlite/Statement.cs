using System.Buffers;
using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Caisson.Storage.Sqlite;

/// <summary>
/// A prepared statement of the writer, its parameters set by position. In the SQL they are ?1, ?2, … It talks to the
/// driver's lower layer: the upper one looks every parameter up by its name, makes a reader for each execution, and so
/// takes longer than SQLite itself.
/// </summary>
internal sealed class Statement : IDisposable
{
    private readonly sqlite3 _connection;
    private readonly sqlite3_stmt _statement;

    internal Statement(SqliteConnection connection, string sql, int parameters = 0)
    {
        _connection = connection.Handle!;
        Check(raw.sqlite3_prepare_v2(_connection, sql, out _statement));
        if (raw.sqlite3_bind_parameter_count(_statement) != parameters)
            throw new ArgumentException($"the statement has {raw.sqlite3_bind_parameter_count(_statement)} parameters, {parameters} were announced: {sql}", nameof(parameters));
    }

    /// <returns>How many rows it changed.</returns>
    internal int Run(params ReadOnlySpan<Cell> values)
    {
        Bind(values);
        try
        {
            while (Step())
            {
                // What a RETURNING clause answers is for others to read.
            }

            return raw.sqlite3_changes(_connection);
        }
        finally
        {
            Reset();
        }
    }

    /// <returns>The first column of the first row; <c>null</c> where there is no row or nothing in it.</returns>
    internal object? Value(params ReadOnlySpan<Cell> values)
    {
        using var rows = Rows(values);
        return rows.Read() && !rows.IsDBNull(0) ? rows.Value(0) : null;
    }

    /// <summary>One use at a time; the statement is free again when they are disposed of.</summary>
    internal Rows Rows(params ReadOnlySpan<Cell> values)
    {
        Bind(values);
        return new Rows(this, _statement);
    }

    internal bool Step()
    {
        var code = raw.sqlite3_step(_statement);
        if (code is raw.SQLITE_ROW or raw.SQLITE_DONE)
            return code == raw.SQLITE_ROW;
        Check(code);
        return false;
    }

    internal void Reset() => _ = raw.sqlite3_reset(_statement);

    private void Bind(ReadOnlySpan<Cell> values)
    {
        for (var i = 0; i < values.Length; i++)
            Check(values[i].BindTo(_statement, i + 1));
    }

    private void Check(int code) => SqliteException.ThrowExceptionForRC(code, _connection);

    public void Dispose() => _statement.Dispose();
}

/// <summary>A value of a parameter, without a box around it.</summary>
internal readonly struct Cell
{
    private const int ShortText = 256;

    private readonly long? _number;
    private readonly string? _text;
    private readonly byte[]? _bytes;

    private Cell(long? number, string? text, byte[]? bytes) => (_number, _text, _bytes) = (number, text, bytes);

    public static implicit operator Cell(long number) => new(number, null, null);

    public static implicit operator Cell(long? number) => new(number, null, null);

    public static implicit operator Cell(int number) => new(number, null, null);

    public static implicit operator Cell(string? text) => new(null, text, null);

    public static implicit operator Cell(byte[]? bytes) => new(null, null, bytes);

    internal int BindTo(sqlite3_stmt statement, int place) =>
        _number is { } number ? raw.sqlite3_bind_int64(statement, place, number)
        : _bytes is { } bytes ? raw.sqlite3_bind_blob(statement, place, bytes)
        : _text is { } text ? BindText(statement, place, text)
        : raw.sqlite3_bind_null(statement, place);

    private static int BindText(sqlite3_stmt statement, int place, string text)
    {
        if (text.Length <= ShortText)
        {
            Span<byte> few = stackalloc byte[3 * ShortText];
            return raw.sqlite3_bind_text(statement, place, few[..Encoding.UTF8.GetBytes(text, few)]);
        }

        var many = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        try
        {
            return raw.sqlite3_bind_text(statement, place, many.AsSpan(0, Encoding.UTF8.GetBytes(text, many)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(many);
        }
    }
}

/// <summary>The rows of one execution.</summary>
internal readonly ref struct Rows(Statement statement, sqlite3_stmt handle)
{
    internal bool Read() => statement.Step();

    internal bool IsDBNull(int column) => raw.sqlite3_column_type(handle, column) == raw.SQLITE_NULL;

    internal long GetInt64(int column) => raw.sqlite3_column_int64(handle, column);

    internal int GetInt32(int column) => raw.sqlite3_column_int(handle, column);

    internal bool GetBoolean(int column) => raw.sqlite3_column_int(handle, column) != 0;

    internal string GetString(int column) => raw.sqlite3_column_text(handle, column).utf8_to_string();

    internal byte[] GetBytes(int column) => raw.sqlite3_column_blob(handle, column).ToArray();

    internal object Value(int column) => raw.sqlite3_column_type(handle, column) switch
    {
        raw.SQLITE_INTEGER => GetInt64(column),
        raw.SQLITE_TEXT => GetString(column),
        _ => GetBytes(column),
    };

    public void Dispose() => statement.Reset();
}
