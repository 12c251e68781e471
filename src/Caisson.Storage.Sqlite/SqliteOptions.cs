namespace Caisson.Storage.Sqlite;

/// <summary>Where the embedded store lives.</summary>
public sealed class SqliteOptions
{
    /// <summary>Holds the database, the blobs and the lock. One server at a time; on a local file system.</summary>
    public required string DataDirectory { get; init; }
}
