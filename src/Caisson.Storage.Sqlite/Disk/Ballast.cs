using System.Security.Cryptography;

namespace Caisson.Storage.Sqlite.Disk;

/// <summary>
/// A file of bytes that nobody reads. It is written, not only reserved, and of random bytes, not zeros: file systems that
/// compress or leave holes would otherwise keep nothing back.
/// </summary>
internal sealed class Ballast(string path, long size)
{
    private const int Piece = 1 << 20;
    private const string FileName = "ballast";

    private bool? _isThere;

    internal string Path => path;

    internal static string PathIn(string directory) => System.IO.Path.Combine(directory, FileName);

    /// <summary>Deletes the one in this data directory. Answers whether there was one.</summary>
    internal static bool ReleaseIn(string directory)
    {
        try
        {
            return new Ballast(PathIn(directory), 0).Release();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    internal long Size => size;

    /// <summary>Whole: what a crash cut short does not count. Looked at once, since nobody else writes in this directory.</summary>
    internal bool IsThere => _isThere ??= new FileInfo(path) is { Exists: true, Length: var length } && length == size;

    internal void Create()
    {
        File.Delete(path);
        _isThere = false;
        try
        {
            using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
            var piece = new byte[Piece];
            for (var at = 0L; at < size; at += Piece)
            {
                RandomNumberGenerator.Fill(piece);
                RandomAccess.Write(file, piece.AsSpan(0, (int)Math.Min(Piece, size - at)), at);
            }

            RandomAccess.FlushToDisk(file);
        }
        catch
        {
            // Half of it is of no use and takes the space that is short.
            File.Delete(path);
            throw;
        }

        _isThere = true;
    }

    /// <returns>Whether there was one.</returns>
    internal bool Release()
    {
        var was = File.Exists(path);
        File.Delete(path);
        _isThere = false;
        return was;
    }
}
