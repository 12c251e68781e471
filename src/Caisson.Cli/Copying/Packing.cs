using System.Formats.Tar;
using System.Runtime.InteropServices;
using Caisson.Contracts;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Cli.Copying;

/// <summary>A folder of this machine as a tar archive, in a file that goes when it is closed. Nothing is read through a link.</summary>
internal static partial class Packing
{
    private const int NonBlocking = 0x800;
    private const int CloseOnExec = 0x80000;

    internal static async Task<Stream> OfAsync(string folder, CancellationToken cancellationToken)
    {
        var archive = new FileStream(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, bufferSize: 64 * 1024, FileOptions.DeleteOnClose | FileOptions.Asynchronous);
        try
        {
            await using (var tar = new TarWriter(archive, TarEntryFormat.Gnu, leaveOpen: true))
                await AddAsync(tar, new DirectoryInfo(folder), "", new Tally(), cancellationToken);
            archive.Position = 0;
            return archive;
        }
        catch
        {
            await archive.DisposeAsync();
            throw;
        }
    }

    private static async Task AddAsync(TarWriter tar, DirectoryInfo folder, string prefix, Tally tally, CancellationToken cancellationToken)
    {
        foreach (var found in folder.EnumerateFileSystemInfos().OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            var path = prefix + found.Name;
            tally.Count(found is FileInfo { LinkTarget: null } file ? file.Length : 0);
            if (found.LinkTarget is { } target)
            {
                if (!ArchivePath.LinkStaysInside(path, target))
                    throw CommandFailure.Usage($"'{found.FullName}' is a link to '{target}', which may lead out of what is copied: remove it, or copy what it leads to");
                await tar.WriteEntryAsync(new GnuTarEntry(TarEntryType.SymbolicLink, path) { LinkName = target }, cancellationToken);
            }
            else if (found is DirectoryInfo below)
            {
                await tar.WriteEntryAsync(new GnuTarEntry(TarEntryType.Directory, path + "/"), cancellationToken);
                await AddAsync(tar, below, path + "/", tally, cancellationToken);
            }
            else
            {
                await using var content = Open(found.FullName);
                var entry = new GnuTarEntry(TarEntryType.RegularFile, path) { DataStream = content };
                if (!OperatingSystem.IsWindows())
                    entry.Mode = File.GetUnixFileMode(content.SafeFileHandle);
                await tar.WriteEntryAsync(entry, cancellationToken);
            }
        }
    }

    /// <summary>Without waiting: a pipe passes for a file, and opening it would wait for ever.</summary>
    private static FileStream Open(string path)
    {
        if (OperatingSystem.IsWindows())
            return new FileStream(path, FileMode.Open, FileAccess.Read);
        var handle = new SafeFileHandle(OpenFile(path, NonBlocking | CloseOnExec, 0), ownsHandle: true);
        if (handle.IsInvalid)
            throw new IOException($"'{path}': {Marshal.GetLastPInvokeErrorMessage()}");
        var file = new FileStream(handle, FileAccess.Read);
        return file.CanSeek ? file : throw CommandFailure.Usage($"'{path}' is no file, folder or link: remove it, or copy the rest apart");
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int OpenFile(string path, int flags, int mode);

    private sealed class Tally
    {
        private int _entries;
        private long _bytes;

        internal void Count(long bytes)
        {
            if (++_entries > SandboxCopyLimits.Entries || (_bytes += bytes) > SandboxCopyLimits.Bytes || bytes > SandboxCopyLimits.FileBytes)
                throw CommandFailure.Usage($"the folder has more than {SandboxCopyLimits.Entries} files, a file of more than {SandboxCopyLimits.FileBytes >> 20} MiB, or more than {SandboxCopyLimits.Bytes >> 20} MiB: copy it in parts");
        }
    }
}
