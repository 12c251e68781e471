using System.Formats.Tar;
using Caisson.Contracts;

namespace Caisson.Sandboxes.Images;

/// <summary>
/// Unpacks a tar archive that nobody vouches for. Owners become root's and set-id bits go: who runs in a box is decided
/// by the box. Devices and pipes are left out: a box has its own.
/// </summary>
internal static class ImageUnpack
{
    private const int MaxEntries = 2_000_000;
    private const long MaxBytes = 64L << 30;

    public static async Task RunAsync(Stream archive, ImageFolder root, CancellationToken cancellationToken)
    {
        var entries = 0;
        var bytes = 0L;
        await using var reader = new TarReader(archive, leaveOpen: true);
        while (await reader.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
        {
            if (++entries > MaxEntries || (bytes += entry.Length) > MaxBytes)
                throw ImageFolder.Bad(entry.Name, $"is one too many: an image has at most {MaxEntries} entries and {MaxBytes} bytes");
            var mode = (uint)entry.Mode & 0x1ff;
            switch (entry.EntryType)
            {
                case TarEntryType.Directory when entry.Name.Trim('/', '.').Length == 0:
                    break;
                case TarEntryType.Directory:
                    using (var folder = root.MakeFolder(entry.Name))
                        Native.Libc.ChangeMode(folder, mode | 0x1c0);
                    break;
                case TarEntryType.RegularFile or TarEntryType.V7RegularFile or TarEntryType.ContiguousFile:
                    root.MakeFile(entry.Name, mode, entry.DataStream ?? Stream.Null);
                    break;
                case TarEntryType.SymbolicLink:
                    root.MakeLink(entry.Name, entry.LinkName);
                    break;
                case TarEntryType.HardLink:
                    root.CopyFile(entry.Name, entry.LinkName, mode);
                    break;
                case TarEntryType.BlockDevice or TarEntryType.CharacterDevice or TarEntryType.Fifo or TarEntryType.GlobalExtendedAttributes:
                    break;
                default:
                    throw ImageFolder.Bad(entry.Name, $"is of a type that images do not have ({entry.EntryType})");
            }
        }
    }
}
