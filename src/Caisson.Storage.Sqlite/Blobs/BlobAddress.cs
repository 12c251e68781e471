using System.Runtime.InteropServices;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>An address as 32 bytes: millions of them are held at once while a sweep marks.</summary>
internal readonly record struct BlobAddress(ulong A, ulong B, ulong C, ulong D)
{
    internal const int HexLength = 64;

    internal static bool IsOne(string text) => text.Length == HexLength && text.All(char.IsAsciiHexDigitLower);

    internal static BlobAddress? TryParse(string text)
    {
        if (!IsOne(text))
            return null;
        Span<byte> bytes = stackalloc byte[32];
        _ = Convert.FromHexString(text, bytes, out _, out _);
        return MemoryMarshal.Read<BlobAddress>(bytes);
    }

    // The bytes are a hash already.
    public override int GetHashCode() => (int)A;
}
