using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite;

/// <summary>The database's few facts about itself, by name.</summary>
internal static class Meta
{
    internal const string KillSwitch = "kill_switch";

    internal static byte[]? Get(SqliteConnection connection, string name)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT value FROM meta WHERE name = $name";
        command.Parameters.AddWithValue("$name", name);
        return command.ExecuteScalar() as byte[];
    }

    internal static void Set(SqliteConnection connection, string name, byte[] value)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "INSERT INTO meta (name, value) VALUES ($name, $value) ON CONFLICT DO UPDATE SET value = excluded.value";
        command.Parameters.AddWithValue("$name", name);
        command.Parameters.AddWithValue("$value", value);
        command.ExecuteNonQuery();
    }

    /// <returns>Whether it was there.</returns>
    internal static bool Remove(SqliteConnection connection, string name)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM meta WHERE name = $name";
        command.Parameters.AddWithValue("$name", name);
        return command.ExecuteNonQuery() > 0;
    }
}
