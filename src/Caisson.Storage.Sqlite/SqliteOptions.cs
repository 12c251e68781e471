namespace Caisson.Storage.Sqlite;

/// <summary>Where the embedded store lives.</summary>
public sealed class SqliteOptions
{
    /// <summary>Holds the database, the blobs and the lock. One server at a time; on a local file system.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>
    /// A file with 32 bytes, as base64 or hexadecimal digits, that only its owner may read. With it all content is stored
    /// sealed, and from then on nothing is opened without it. Default: none, and content is stored as it is.
    /// </summary>
    public string? KeyFile { get; init; }
}
