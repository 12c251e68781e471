using System.Buffers.Binary;
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
        var fields = new HashFields(512 + entry.Body.Length + (entry.Payload ?? default).Length);
        try
        {
            fields.Add(previous);
            Span<byte> numbers = stackalloc byte[16 + 5 * 8];
            run.Value.TryWriteBytes(numbers, bigEndian: true, out _);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[16..], entry.Seq);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[24..], entry.Epoch);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[32..], entry.At.ToUnixTimeMilliseconds());
            BinaryPrimitives.WriteInt64LittleEndian(numbers[40..], (int)entry.Kind);
            BinaryPrimitives.WriteInt64LittleEndian(numbers[48..], entry.Attempt);
            fields.Add(numbers);
            fields.Add(entry.Scope);
            fields.Add(entry.Key ?? "");
            fields.Add(entry.Body.Span);
            if (entry.Blob is { } blob)
                fields.Add(blob);
            else
                fields.Add((entry.Payload ?? default).Span);
            return fields.Hash();
        }
        finally
        {
            fields.Dispose();
        }
    }
}
