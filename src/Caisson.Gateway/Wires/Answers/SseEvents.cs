using System.Buffers;

namespace Caisson.Gateway.Wires.Answers;

/// <summary>Cuts a stream into its parts, each held until it is whole. At most one is held.</summary>
internal interface IAnswerEvents
{
    /// <summary>The beginning of a part that is not whole yet.</summary>
    ReadOnlySpan<byte> Raw { get; }

    ReadOnlyMemory<byte> Data { get; }

    string Name { get; }

    /// <summary>The present part is larger than anything a provider sends.</summary>
    bool IsFull { get; }

    /// <summary>Takes bytes up to the end of a part.</summary>
    /// <param name="raw">The part's own bytes, until the next call.</param>
    bool TryNext(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> raw);

    /// <summary>At the stream's end: what is left.</summary>
    bool TryLast(out ReadOnlySpan<byte> raw);
}

/// <summary>
/// Puts the events of a stream together again, wherever its bytes were cut. An event keeps the bytes it came as, comments
/// and line ends included.
/// </summary>
internal sealed class SseEvents(int maxBytes) : IAnswerEvents
{
    private readonly ArrayBufferWriter<byte> _raw = new(4096);
    private readonly ArrayBufferWriter<byte> _data = new(4096);
    private int _lineStart;
    private bool _handedOut;

    public ReadOnlySpan<byte> Raw => _handedOut ? [] : _raw.WrittenSpan;

    public ReadOnlyMemory<byte> Data => _data.WrittenMemory;

    public string Name { get; private set; } = "";

    public bool IsFull => Raw.Length > maxBytes;

    public bool TryNext(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> raw)
    {
        Begin();
        while (!bytes.IsEmpty && _raw.WrittenCount <= maxBytes)
        {
            var end = bytes.IndexOf((byte)'\n');
            // A line that never ends is taken in pieces that are just too large.
            var take = Math.Min(end < 0 ? bytes.Length : end + 1, maxBytes + 1 - _raw.WrittenCount);
            _raw.Write(bytes[..take]);
            bytes = bytes[take..];
            if (end < 0 || take < end + 1)
                continue;
            if (Line())
            {
                raw = _raw.WrittenSpan;
                _handedOut = true;
                return true;
            }
        }

        raw = default;
        return false;
    }

    /// <summary>Takes what came as an event, also without its last line ends.</summary>
    public bool TryLast(out ReadOnlySpan<byte> raw)
    {
        Begin();
        raw = _raw.WrittenSpan;
        if (_lineStart < _raw.WrittenCount)
            Line();
        return raw.Length > 0;
    }

    private void Begin()
    {
        if (!_handedOut)
            return;
        _handedOut = false;
        _raw.ResetWrittenCount();
        _data.ResetWrittenCount();
        _lineStart = 0;
        Name = "";
    }

    /// <returns>Whether it was the empty line that ends an event.</returns>
    private bool Line()
    {
        var line = _raw.WrittenSpan[_lineStart..].TrimEnd((byte)'\n');
        _lineStart = _raw.WrittenCount;
        if (line is [.., (byte)'\r'])
            line = line[..^1];
        if (line.IsEmpty)
            return true;
        if (Value(line, "data"u8, out var data))
        {
            if (_data.WrittenCount > 0)
                _data.Write("\n"u8);
            _data.Write(data);
        }
        else if (Value(line, "event"u8, out var name))
        {
            Name = System.Text.Encoding.UTF8.GetString(name[..Math.Min(name.Length, 128)]);
        }

        return false;
    }

    private static bool Value(ReadOnlySpan<byte> line, ReadOnlySpan<byte> field, out ReadOnlySpan<byte> value)
    {
        value = default;
        if (!line.StartsWith(field) || (line.Length > field.Length && line[field.Length] != (byte)':'))
            return false;
        value = line[Math.Min(field.Length + 1, line.Length)..];
        if (value is [(byte)' ', ..])
            value = value[1..];
        return true;
    }
}
