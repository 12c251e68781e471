using Caisson.Contracts;

namespace Caisson.Storage.Sqlite;

internal abstract record DirectoryOutcome
{
    internal sealed record Locked(DataDirectory Directory) : DirectoryOutcome;

    internal sealed record Refused(Failure Failure) : DirectoryOutcome;
}

/// <summary>
/// The folder of one server. An exclusive lock on a file in it says that no other process uses it; the kernel drops
/// the lock with the process, however that ends.
/// </summary>
internal sealed class DataDirectory : IDisposable
{
    private static readonly string[] RemoteFileSystems = ["nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre", "glusterfs"];

    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held) => (Path, _lock) = (path, held);

    internal string Path { get; }

    internal string Database => System.IO.Path.Combine(Path, "caisson.db");

    /// <summary>Whether runs have stored anything here: then a database must be here too.</summary>
    internal bool HasBlobs
    {
        get
        {
            // Each blob stands in a folder of two hex digits; the store's own temporary folder does not count.
            var blobs = System.IO.Path.Combine(Path, "blobs");
            return Directory.Exists(blobs) && Directory.EnumerateDirectories(blobs, "??").Any(folder => Directory.EnumerateFiles(folder).Any());
        }
    }

    internal static DirectoryOutcome Open(string path)
    {
        var full = System.IO.Path.GetFullPath(path);
        if (File.Exists(full))
            return Refuse(ErrorCodes.DataDirectoryInvalid, $"{full}: found a file, a data directory is needed: choose another path with --data");
        try
        {
            if (OperatingSystem.IsWindows())
                Directory.CreateDirectory(full);
            else
                Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            if (FileSystemOf(full) is { } type && (RemoteFileSystems.Contains(type) || type.StartsWith("fuse", StringComparison.Ordinal)))
                return Refuse(ErrorCodes.DataDirectoryInvalid, $"{full}: is on a {type} file system, whose locks and syncs cannot be trusted: choose a local disk with --data");
            var held = new FileStream(System.IO.Path.Combine(full, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new DirectoryOutcome.Locked(new DataDirectory(full, held));
        }
        catch (UnauthorizedAccessException)
        {
            return Refuse(ErrorCodes.DataDirectoryInvalid, $"{full}: cannot be written by this user: choose another path with --data, or mend its owner");
        }
        catch (IOException problem) when ((problem.HResult & 0xffff) is 11 or 13 || problem.Message.Contains("being used", StringComparison.Ordinal))
        {
            return Refuse(ErrorCodes.DataDirectoryInUse, $"{full}: another server uses this data directory: stop it, or choose another with --data");
        }
        catch (IOException problem)
        {
            return Refuse(ErrorCodes.DataDirectoryInvalid, $"{full}: cannot be used: {problem.Message.TrimEnd('.')}: choose another path with --data");
        }
    }

    private static string? FileSystemOf(string path)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        string? type = null;
        var longest = -1;
        foreach (var line in File.ReadLines("/proc/self/mounts"))
        {
            var fields = line.Split(' ');
            var mount = fields[1].Replace("\\040", " ", StringComparison.Ordinal);
            if ((path == mount || mount == "/" || path.StartsWith(mount + "/", StringComparison.Ordinal)) && mount.Length >= longest)
                (type, longest) = (fields[2], mount.Length);
        }

        return type;
    }

    private static DirectoryOutcome.Refused Refuse(string code, string message) => new(new Failure(code, message));

    public void Dispose() => _lock.Dispose();
}
