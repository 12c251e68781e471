using System.Formats.Tar;
using Caisson.Contracts;

namespace Caisson.Server.Copying;

/// <summary>Looks at every entry of a stranger's archive before anything is made of it.</summary>
internal static class ArchiveCheck
{
    internal static Failure Damaged => Refuse("the body is no tar archive, or a damaged one: make it with tar, uncompressed");

    internal static bool IsDamage(Exception e) => e is InvalidDataException or FormatException or EndOfStreamException or ArgumentException;

    /// <summary>Answers why it is not taken. Leaves the stream at its end.</summary>
    internal static async Task<Failure?> OfAsync(Stream archive, CancellationToken cancellationToken)
    {
        var names = new ArchiveNames();
        var (entries, bytes) = (0, 0L);
        await using var tar = new TarReader(archive, leaveOpen: true);
        while (await tar.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
        {
            if (entry.EntryType == TarEntryType.GlobalExtendedAttributes)
                continue;
            if (++entries > SandboxCopyLimits.Entries)
                return Refuse($"the archive has more than {SandboxCopyLimits.Entries} entries: copy it in parts");
            if (entry.Length > SandboxCopyLimits.FileBytes || (bytes += entry.Length) > SandboxCopyLimits.Bytes)
                return new Failure(ErrorCodes.PayloadTooLarge, $"'{entry.Name}': a file may have {SandboxCopyLimits.FileBytes >> 20} MiB and all together {SandboxCopyLimits.Bytes >> 20} MiB: copy it in parts");
            var (path, complaint) = ArchivePath.Check(entry.Name);
            if (path is null)
                return Refuse($"the archive has the name '{entry.Name}', which {complaint}: nothing was copied");
            complaint = entry.EntryType switch
            {
                TarEntryType.Directory or TarEntryType.RegularFile or TarEntryType.V7RegularFile => null,
                TarEntryType.SymbolicLink => ArchivePath.LinkStaysInside(path, entry.LinkName) ? null : $"is a link to '{entry.LinkName}', which may lead out of what is copied",
                TarEntryType.HardLink => "is a hard link; tar --hard-dereference makes a file of it",
                _ => "is no file, folder or link",
            };
            var isFolder = entry.EntryType == TarEntryType.Directory;
            complaint ??= path.Length == 0 ? isFolder ? null : "names no file" : names.Add(path, isFolder);
            if (complaint is not null)
                return Refuse($"'{entry.Name}' in the archive {complaint}: nothing was copied");
        }

        return null;
    }

    private static Failure Refuse(string message) => new(ErrorCodes.RequestInvalid, message);
}
