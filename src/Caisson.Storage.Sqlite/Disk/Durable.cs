using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Storage.Sqlite.Disk;

/// <summary>
/// A sync that failed. The kernel reports such an error once and may have dropped the pages: a second sync that succeeds
/// proves nothing. So nobody tries again; the process ends, and the next one reads what is there.
/// </summary>
internal sealed class SyncFailedException(string path, string why) : IOException($"{path}: {why}");

/// <summary>Syncs of files and folders.</summary>
internal static class Durable
{
    internal const int NoSpace = 28, OverQuota = 122;

    private const int DirectoryFlags = 0x10000 | 0x80000;

    /// <summary>Whether the disk, or this user's part of it, is full. That is no fault of the disk.</summary>
    internal static bool IsFull(Exception e) => (e.HResult & 0xffff) is NoSpace or OverQuota;

    internal static void File(SafeFileHandle file, string path)
    {
        try
        {
            RandomAccess.FlushToDisk(file);
        }
        catch (IOException e) when (!IsFull(e))
        {
            throw new SyncFailedException(path, e.Message);
        }
    }

    /// <summary>.NET opens no folders, and only a folder's own sync makes a rename in it durable.</summary>
    internal static void Folder(string path)
    {
        var descriptor = Open(path, DirectoryFlags);
        if (descriptor < 0)
            throw new IOException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
        var synced = Sync(descriptor);
        var error = Marshal.GetLastPInvokeErrorMessage();
        _ = Close(descriptor);
        if (synced != 0)
            throw new SyncFailedException(path, error);
    }

    /// <summary>Replaces a file whole, durably: after a crash there is the old content or the new one.</summary>
    internal static void Replace(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        using (var file = System.IO.File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, content, 0);
            File(file, temporary);
        }

        System.IO.File.Move(temporary, path, overwrite: true);
        Folder(Path.GetDirectoryName(path)!);
    }

#pragma warning disable SYSLIB1054, CA2101 // Generated imports need unsafe code, which this project does not allow itself for three calls.
    [DllImport("libc", EntryPoint = "open", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Sync(int descriptor);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int descriptor);
#pragma warning restore SYSLIB1054, CA2101
}
