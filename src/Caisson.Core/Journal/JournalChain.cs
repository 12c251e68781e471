using System.Buffers;
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
    private const int Prefix = 8;
    private const int Numbers = 16 + 5 * 8;

    public static byte[] Next(ReadOnlySpan<byte> previous, RunId run, JournalEntry entry)
    {
        var content = entry.Blob is null ? (entry.Payload ?? default).Length : Encoding.UTF8.GetMaxByteCount(entry.Blob.Length);
        var length = 6 * Prefix + previous.Length + Numbers + Encoding.UTF8.GetMaxByteCount(entry.Scope.Length) + Encoding.UTF8.GetMaxByteCount(entry.Key?.Length ?? 0) + entry.Body.Length + content;
        var rented = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            var fields = new Fields(rented);
            fields.Add(previous);
            Span<byte> numbers = stackalloc byte[Numbers];
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
            return SHA256.HashData(fields.Written);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>Length-prefixed fields, one after another.</summary>
    private ref struct Fields(Span<byte> buffer)
    {
        private readonly Span<byte> _buffer = buffer;
        private int _length;

        internal readonly ReadOnlySpan<byte> Written => _buffer[.._length];

        internal void Add(scoped ReadOnlySpan<byte> field)
        {
            field.CopyTo(_buffer[(_length + Prefix)..]);
            Prefixed(field.Length);
        }

        internal void Add(string field) => Prefixed(Encoding.UTF8.GetBytes(field, _buffer[(_length + Prefix)..]));

        private void Prefixed(int length)
        {
            BinaryPrimitives.WriteInt64LittleEndian(_buffer[_length..], length);
            _length += Prefix + length;
        }
    }
}
