using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite.Disk;

/// <summary>
/// Notices that the database was put back to an earlier state.
/// <para>
/// Problem: a database restored from a copy knows nothing of what its runs did since, and would do it again. So every
/// start is counted twice, in the database and in a file beside it that a backup of the database does not contain. The
/// database is counted first: after a crash between the two the file is behind, which means nothing. A file that is
/// ahead, or that speaks of another generation, means that the database is not the one that was here. Then a new
/// generation is minted, which no write of former owners fits, and <c>restored</c> stays set until somebody has dealt
/// with the runs that were live. A data directory that is put back as a whole looks as it did and is not noticed.
/// </para>
/// </summary>
internal static class Lineage
{
    internal const string FileName = "lineage";

    private const string Starts = "starts", Generation = "generation", Restored = "restored";

    /// <summary>Counts this start. <c>null</c> when it could; else nothing can be started here.</summary>
    /// <param name="restored">Whether the database was put back, at this start or at an earlier one that was not settled.</param>
    internal static Failure? Begin(SqliteConnection connection, string directory, out bool restored)
    {
        var path = Path.Combine(directory, FileName);
        restored = false;
        try
        {
            var file = Read(path);
            using var transaction = connection.BeginTransaction(deferred: false);
            var generation = Convert.ToHexStringLower(Meta.Get(connection, Generation) ?? []);
            var starts = long.TryParse(Encoding.ASCII.GetString(Meta.Get(connection, Starts) ?? []), NumberStyles.None, CultureInfo.InvariantCulture, out var counted) ? counted : 0;
            if (file is { } beside && (beside.Starts > starts || beside.Generation != generation))
            {
                var minted = RandomNumberGenerator.GetBytes(16);
                Meta.Set(connection, Generation, minted);
                Meta.Set(connection, Restored, [1]);
                generation = Convert.ToHexStringLower(minted);
                starts = Math.Max(starts, beside.Starts);
            }

            Meta.Set(connection, Starts, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{++starts}")));
            restored = Meta.Get(connection, Restored) is not null;
            transaction.Commit();
            Durable.Replace(path, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{generation} {starts}\n")));
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Durable.IsFull(e)
                ? new Failure(ErrorCodes.DiskFull, $"{path}: the disk is full: free space, then start the server again")
                : new Failure(ErrorCodes.StorageFailed, $"{path}: cannot be written: {e.Message}");
        }
    }

    /// <summary>The runs that were live have been dealt with. Part of the caller's transaction.</summary>
    internal static void Settle(SqliteConnection connection) => Meta.Remove(connection, Restored);

    /// <summary>A file that somebody has damaged says nothing.</summary>
    private static (string Generation, long Starts)? Read(string path) =>
        File.Exists(path) && File.ReadAllText(path).Split(' ', '\n') is [var generation, var text, ..]
        && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var starts)
            ? (generation, starts)
            : null;
}
