using System.Formats.Tar;
using Caisson.Contracts;

namespace Caisson.Cli.Copying;

/// <param name="LeftOut">Links that lead out of the folder, and why, in words.</param>
internal sealed record Unpacked(long Files, long Bytes, IReadOnlyList<string> LeftOut);

/// <summary>
/// An archive from a box into a new folder. The folder is new, so no link is in it but those of the archive, and these
/// are made last: nothing can be written through one. A name that leads elsewhere, or a device, is an archive that no
/// server of ours makes, and ends the copy; a link that leads elsewhere is somebody's ordinary link, and is left out.
/// </summary>
internal sealed class Unpacking(string folder)
{
    internal const int MostTold = 10;
    internal const UnixFileMode Executable = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private readonly ArchiveNames _names = new();
    private readonly List<string> _leftOut = [];
    private readonly List<(string Path, string Target)> _links = [];
    private int _entries;
    private long _files;
    private long _bytes;

    internal async Task<Unpacked> RunAsync(Stream archive, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(folder);
        try
        {
            await using var tar = new TarReader(archive);
            while (await tar.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
                await TakeAsync(entry, cancellationToken);
        }
        catch (Exception e) when (e is InvalidDataException or FormatException or EndOfStreamException or HttpRequestException or HttpIOException)
        {
            throw Refuse($"the archive broke off or is damaged ({e.Message}); '{folder}' has a part of it");
        }

        foreach (var (path, target) in _links)
            File.CreateSymbolicLink(Path.Combine(folder, path), target);
        return new Unpacked(_files, _bytes, _leftOut);
    }

    private async Task TakeAsync(TarEntry entry, CancellationToken cancellationToken)
    {
        if (++_entries > SandboxCopyLimits.Entries || (_bytes += entry.Length) > SandboxCopyLimits.Bytes)
            throw Refuse($"the archive is larger than the server allows; '{folder}' has a part of it");
        var isFolder = entry.EntryType == TarEntryType.Directory;
        var (path, complaint) = ArchivePath.Check(entry.Name);
        complaint ??= path!.Length == 0 ? "names no file" : _names.Add(path, isFolder);
        if (complaint is not null)
            throw Refuse($"the archive has the name '{entry.Name}', which {complaint}; '{folder}' has what came before");
        switch (entry.EntryType)
        {
            case TarEntryType.Directory:
                Directory.CreateDirectory(Path.Combine(folder, path!));
                break;
            case TarEntryType.SymbolicLink when ArchivePath.LinkStaysInside(path!, entry.LinkName):
                _links.Add((path!, entry.LinkName));
                break;
            case TarEntryType.SymbolicLink:
                _leftOut.Add($"'{path}' is a link to '{entry.LinkName}', which may lead out of the folder");
                break;
            case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                await WriteAsync(Path.Combine(folder, path!), entry, cancellationToken);
                _files++;
                break;
            default:
                throw Refuse($"'{path}' in the archive is no file, folder or link; '{folder}' has what came before");
        }
    }

    private static async Task WriteAsync(string path, TarEntry entry, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        if (entry.DataStream is { } content)
            await content.CopyToAsync(file, cancellationToken);
        if (entry.Mode.HasFlag(UnixFileMode.UserExecute) && !OperatingSystem.IsWindows())
            File.SetUnixFileMode(file.SafeFileHandle, File.GetUnixFileMode(file.SafeFileHandle) | Executable);
    }

    private static CommandFailure Refuse(string message) => new(ExitCodes.Failed, ErrorCodes.RequestInvalid, message);
}
