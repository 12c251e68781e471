using System.Buffers.Binary;
using System.Text;
using Caisson.Contracts;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>What a name in a folder is. The numbers are stored.</summary>
internal enum TreeKind : byte
{
    File = 1,
    Folder = 2,
    Link = 3,
}

/// <summary>Where a file's bytes are. The numbers are stored.</summary>
internal enum TreeContent : byte
{
    /// <summary>In the node itself: most files of a source tree are smaller than a block of the disk.</summary>
    Inline = 1,
    /// <summary>A blob.</summary>
    Blob = 2,
    /// <summary>A blob that lists the blobs of the file's pieces, see <see cref="PieceList"/>.</summary>
    Pieces = 3,
}

/// <param name="Name">Bytes as the file system holds them: any but zero and slash.</param>
/// <param name="Mode">The twelve permission bits; of a link 0.</param>
/// <param name="Size">Of a file; of others 0.</param>
/// <param name="Data">A file's inline bytes, a link's target, or the address of the blob in ASCII.</param>
internal sealed record TreeEntry(byte[] Name, TreeKind Kind, ushort Mode, long Size, TreeContent Content, byte[] Data)
{
    public string Address => Encoding.ASCII.GetString(Data);
}

/// <summary>
/// A folder of a saved workspace as a blob. It holds names, modes, sizes and content, and no times, owners or inodes:
/// equal trees are equal bytes, so they have equal addresses, and the address of the root folder names the tree.
/// </summary>
internal static class TreeNode
{
    private const int Header = 1 + 1 + 2 + 8 + 2 + 4;

    private static ReadOnlySpan<byte> Magic => "CWT1"u8;

    /// <summary>A list of pieces begins with a digit, so the two are told apart by their first bytes.</summary>
    public static bool IsTree(ReadOnlySpan<byte> bytes) => bytes.StartsWith(Magic);

    public static byte[] Encode(IEnumerable<TreeEntry> entries)
    {
        var bytes = new MemoryStream();
        bytes.Write(Magic);
        Span<byte> header = stackalloc byte[Header];
        foreach (var entry in entries.OrderBy(e => e.Name, NameOrder.Instance))
        {
            header[0] = (byte)entry.Kind;
            header[1] = (byte)entry.Content;
            BinaryPrimitives.WriteUInt16LittleEndian(header[2..], entry.Mode);
            BinaryPrimitives.WriteInt64LittleEndian(header[4..], entry.Size);
            BinaryPrimitives.WriteUInt16LittleEndian(header[12..], (ushort)entry.Name.Length);
            BinaryPrimitives.WriteInt32LittleEndian(header[14..], entry.Data.Length);
            bytes.Write(header);
            bytes.Write(entry.Name);
            bytes.Write(entry.Data);
        }

        return bytes.ToArray();
    }

    /// <summary>Checked although the blob store vouches for the bytes: a name becomes a name on this host.</summary>
    public static IReadOnlyList<TreeEntry> Decode(ReadOnlySpan<byte> bytes)
    {
        if (!bytes.StartsWith(Magic))
            throw Corrupt();
        bytes = bytes[Magic.Length..];
        var entries = new List<TreeEntry>();
        while (bytes.Length > 0)
        {
            if (bytes.Length < Header)
                throw Corrupt();
            var nameLength = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]);
            var dataLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[14..]);
            if (dataLength < 0 || dataLength > bytes.Length - Header - nameLength)
                throw Corrupt();
            var entry = new TreeEntry(
                bytes.Slice(Header, nameLength).ToArray(),
                (TreeKind)bytes[0],
                (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]) & 0xfff),
                BinaryPrimitives.ReadInt64LittleEndian(bytes[4..]),
                (TreeContent)bytes[1],
                bytes.Slice(Header + nameLength, dataLength).ToArray());
            var name = entry.Name.AsSpan();
            var ordered = entries.Count == 0 || NameOrder.Instance.Compare(entries[^1].Name, entry.Name) < 0;
            if (nameLength is 0 or > 255 || name.ContainsAny((byte)0, (byte)'/') || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8) ||
                !Enum.IsDefined(entry.Kind) || !Enum.IsDefined(entry.Content) || entry.Size < 0 || !ordered)
                throw Corrupt();
            entries.Add(entry);
            bytes = bytes[(Header + nameLength + dataLength)..];
        }

        return entries;
    }

    private static CaissonException Corrupt() => new(ErrorCodes.DatabaseCorrupt, "a folder of a saved workspace is not readable");
}

/// <summary>The pieces of a large file. A piece of a hole has no blob, so a sparse file of a tebibyte costs a short list.</summary>
internal static class PieceList
{
    public const int PieceSize = 4 << 20;

    /// <summary>Runs of <c>count address</c> or <c>count -</c> lines, so that a hole is one line however long it is.</summary>
    public static byte[] Encode(IReadOnlyList<(long Count, string? Address)> runs) =>
        Encoding.ASCII.GetBytes(string.Concat(runs.Select(r => $"{r.Count} {r.Address ?? "-"}\n")));

    public static IEnumerable<(long Count, string? Address)> Decode(ReadOnlyMemory<byte> bytes)
    {
        foreach (var line in Encoding.ASCII.GetString(bytes.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = line.Split(' ');
            if (parts.Length != 2 || !long.TryParse(parts[0], out var count) || count is <= 0 or > 1L << 40)
                throw new CaissonException(ErrorCodes.DatabaseCorrupt, "a large file of a saved workspace is not readable");
            yield return (count, parts[1] == "-" ? null : parts[1]);
        }
    }
}

internal sealed class NameOrder : IComparer<byte[]>
{
    public static readonly NameOrder Instance = new();

    public int Compare(byte[]? x, byte[]? y) => x.AsSpan().SequenceCompareTo(y);
}
