using System.Security.Cryptography;
using System.Text;

namespace Caisson.Storage.Sqlite.Sealing;

/// <summary>
/// Bytes that only the holder of a key can read, and only where they were put:
/// <c>ca 15 5e a1 | version 1 | key id, 8 | nonce, 12 | ciphertext | tag, 16</c>, AES-256-GCM.
/// <para>
/// Authenticated beside the content are everything before the nonce and the name of the place. Who can write the disk
/// and moves sealed bytes from one row to another makes them unreadable, not misread. No text in UTF-8 begins with
/// these four bytes, so what was written before there was a key is told apart.
/// </para>
/// </summary>
internal static class SealedBox
{
    internal const int KeyIdLength = 8;

    private const byte Version = 1;
    private const int NonceLength = 12, TagLength = 16;
    private const int HeaderLength = 4 + 1 + KeyIdLength;

    internal const int Overhead = HeaderLength + NonceLength + TagLength;

    private static ReadOnlySpan<byte> Magic => [0xca, 0x15, 0x5e, 0xa1];

    internal static bool IsSealed(ReadOnlySpan<byte> stored) => stored.StartsWith(Magic);

    /// <summary>Of sealed bytes; <c>null</c> where they are too short or of a later version.</summary>
    internal static byte[]? KeyId(ReadOnlySpan<byte> stored) =>
        stored.Length >= Overhead && stored[Magic.Length] == Version ? stored.Slice(Magic.Length + 1, KeyIdLength).ToArray() : null;

    internal static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> keyId, string place, ReadOnlySpan<byte> content)
    {
        var stored = new byte[Overhead + content.Length];
        Magic.CopyTo(stored);
        stored[Magic.Length] = Version;
        keyId.CopyTo(stored.AsSpan(Magic.Length + 1));
        var nonce = stored.AsSpan(HeaderLength, NonceLength);
        RandomNumberGenerator.Fill(nonce);

        // Made for each call: the cipher's state is not safe for several threads, and its set-up costs about a microsecond.
        using var cipher = new AesGcm(key, TagLength);
        cipher.Encrypt(nonce, content, stored.AsSpan(HeaderLength + NonceLength, content.Length), stored.AsSpan(stored.Length - TagLength), Bound(stored, place));
        return stored;
    }

    /// <summary><c>null</c> where this key did not seal these bytes for this place.</summary>
    internal static byte[]? Open(ReadOnlySpan<byte> key, string place, ReadOnlySpan<byte> stored)
    {
        if (stored.Length < Overhead)
            return null;
        var content = new byte[stored.Length - Overhead];
        try
        {
            using var cipher = new AesGcm(key, TagLength);
            cipher.Decrypt(stored.Slice(HeaderLength, NonceLength), stored.Slice(HeaderLength + NonceLength, content.Length), stored[^TagLength..], content, Bound(stored, place));
            return content;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }

    private static byte[] Bound(ReadOnlySpan<byte> stored, string place)
    {
        var bound = new byte[HeaderLength + Encoding.UTF8.GetByteCount(place)];
        stored[..HeaderLength].CopyTo(bound);
        Encoding.UTF8.GetBytes(place, bound.AsSpan(HeaderLength));
        return bound;
    }
}
