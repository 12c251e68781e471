using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>
/// Each entry carries the hash of itself and of the entry before it, so that a changed, lost or swapped entry shows.
/// The first entry's predecessor is empty. Pure; the store computes it when it gives the entry its place.
/// </summary>
public static class JournalChain
{
    public static byte[] Next(ReadOnlySpan<byte> previous, RunId run, JournalEntry entry)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Field(hash, previous);
        Span<byte> numbers = stackalloc byte[16 + 5 * 8];
        run.Value.TryWriteBytes(numbers, bigEndian: true, out _);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[16..], entry.Seq);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[24..], entry.Epoch);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[32..], entry.At.ToUnixTimeMilliseconds());
        BinaryPrimitives.WriteInt64LittleEndian(numbers[40..], (int)entry.Kind);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[48..], entry.Attempt);
        Field(hash, numbers);
        Field(hash, Encoding.UTF8.GetBytes(entry.Scope));
        Field(hash, Encoding.UTF8.GetBytes(entry.Key ?? ""));
        Field(hash, entry.Body.Span);
        Field(hash, entry.Blob is { } blob ? Encoding.UTF8.GetBytes(blob) : (entry.Payload ?? default).Span);
        return hash.GetHashAndReset();
    }

    private static void Field(IncrementalHash hash, ReadOnlySpan<byte> field)
    {
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, field.Length);
        hash.AppendData(length);
        hash.AppendData(field);
    }
}
