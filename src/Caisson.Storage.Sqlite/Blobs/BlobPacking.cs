using System.Buffers.Binary;
using ZstdSharp;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>A blob's bytes as its file holds them: how it is stored, its length, then the content, compressed where that pays.</summary>
internal static class BlobPacking
{
    private const byte Plain = 0, Zstd = 1;
    private const int Header = 1 + 8, WorthCompressing = 128, Level = 3;
    private const long LargestBlob = 1L << 30;

    internal static byte[] Pack(ReadOnlySpan<byte> content)
    {
        var packed = new byte[Header + content.Length];
        BinaryPrimitives.WriteInt64LittleEndian(packed.AsSpan(1), content.Length);
        if (content.Length >= WorthCompressing)
        {
            using var compressor = new Compressor(Level);
            if (compressor.TryWrap(content, packed.AsSpan(Header), out var length) && length < content.Length)
            {
                packed[0] = Zstd;
                return packed[..(Header + length)];
            }
        }

        packed[0] = Plain;
        content.CopyTo(packed.AsSpan(Header));
        return packed;
    }

    /// <summary>Answers <c>null</c> for what cannot have come from <see cref="Pack"/>.</summary>
    internal static byte[]? Unpack(ReadOnlySpan<byte> stored)
    {
        if (stored.Length < Header)
            return null;
        var length = BinaryPrimitives.ReadInt64LittleEndian(stored[1..]);
        var body = stored[Header..];
        if (stored[0] == Plain)
            return length == body.Length ? body.ToArray() : null;
        if (stored[0] != Zstd || length is < 0 or > LargestBlob)
            return null;
        try
        {
            var content = new byte[length];
            using var decompressor = new Decompressor();
            return decompressor.Unwrap(body, content) == length ? content : null;
        }
        catch (ZstdException)
        {
            return null;
        }
    }
}
