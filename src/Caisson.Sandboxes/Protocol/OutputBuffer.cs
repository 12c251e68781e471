using System.Buffers;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Protocol;

/// <summary>
/// Keeps the head and the tail of a stream of any length in bounded memory: errors stand at the end of an output, what
/// it is about at its beginning.
/// </summary>
internal sealed class OutputBuffer
{
    private readonly int _headLimit;
    private readonly ArrayBufferWriter<byte> _head = new();
    private readonly byte[] _tail;
    private long _tailTotal;

    public OutputBuffer(int maxBytes)
    {
        _headLimit = maxBytes / 2;
        _tail = new byte[maxBytes - _headLimit];
    }

    public long Total => _head.WrittenCount + _tailTotal;

    public void Add(ReadOnlySpan<byte> bytes)
    {
        var toHead = (int)Math.Min(bytes.Length, _headLimit - _head.WrittenCount);
        _head.Write(bytes[..toHead]);
        bytes = bytes[toHead..];
        _tailTotal += bytes.Length;
        if (bytes.Length > _tail.Length)
            bytes = bytes[^_tail.Length..];
        if (_tail.Length == 0 || bytes.Length == 0)
            return;
        // A ring: its next place is where the total stands.
        var at = (int)((_tailTotal - bytes.Length) % _tail.Length);
        var first = Math.Min(bytes.Length, _tail.Length - at);
        bytes[..first].CopyTo(_tail.AsSpan(at));
        bytes[first..].CopyTo(_tail);
    }

    public BoundedOutput ToOutput()
    {
        if (_tailTotal <= _tail.Length)
        {
            // Nothing was cut: one piece is easier to read.
            _head.Write(_tail.AsSpan(0, (int)_tailTotal));
            return new BoundedOutput(_head.WrittenMemory, ReadOnlyMemory<byte>.Empty, _head.WrittenCount);
        }

        var at = _tail.Length == 0 ? 0 : (int)(_tailTotal % _tail.Length);
        return new BoundedOutput(_head.WrittenMemory, (byte[])[.. _tail.AsSpan(at), .. _tail.AsSpan(0, at)], Total);
    }
}
