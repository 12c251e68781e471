using System.Buffers;

namespace Caisson.Gateway.Wires.Answers;

/// <summary>A stream that is one JSON list: each element with the comma before it is a part, and the closing bracket the last one.</summary>
internal sealed class ListItems(int maxBytes) : IAnswerEvents
{
    private readonly ArrayBufferWriter<byte> _raw = new(4096);
    private int _start = -1;
    private int _depth;
    private bool _inText;
    private bool _escaped;
    private bool _handedOut;
    private bool _closed;

    public ReadOnlySpan<byte> Raw => _handedOut ? [] : _raw.WrittenSpan;

    public ReadOnlyMemory<byte> Data { get; private set; }

    public string Name => "";

    public bool IsFull => Raw.Length > maxBytes;

    public bool TryNext(ref ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> raw)
    {
        Begin();
        for (var i = 0; i < bytes.Length && _raw.WrittenCount + i <= maxBytes; i++)
        {
            if (!EndsPart(bytes[i], _raw.WrittenCount + i))
                continue;
            _raw.Write(bytes[..(i + 1)]);
            bytes = bytes[(i + 1)..];
            Data = _closed ? WireReader.Done.ToArray() : _raw.WrittenMemory[_start..];
            raw = _raw.WrittenSpan;
            _handedOut = true;
            return true;
        }

        var take = Math.Min(bytes.Length, maxBytes + 1 - _raw.WrittenCount);
        _raw.Write(bytes[..take]);
        bytes = bytes[take..];
        raw = default;
        return false;
    }

    public bool TryLast(out ReadOnlySpan<byte> raw)
    {
        Begin();
        // An element that is not whole is no JSON; blanks behind the list are nothing.
        Data = _start < 0 ? default : _raw.WrittenMemory[_start..];
        raw = _raw.WrittenSpan;
        return raw.Length > 0;
    }

    private void Begin()
    {
        if (!_handedOut)
            return;
        _handedOut = false;
        _raw.ResetWrittenCount();
        _start = -1;
        Data = default;
    }

    private bool EndsPart(byte letter, int at)
    {
        if (_inText)
        {
            _inText = _escaped || letter != (byte)'"';
            _escaped = !_escaped && letter == (byte)'\\';
            return false;
        }

        switch ((char)letter)
        {
            case '"':
                _inText = true;
                return false;
            case '{' or '[':
                if (++_depth == 2)
                    _start = at;
                return false;
            case '}' or ']':
                _closed = --_depth == 0;
                return _depth <= 1 && (_start >= 0 || _closed);
            default:
                return false;
        }
    }
}
