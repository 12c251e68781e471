using System.Buffers;

namespace Caisson.Gateway.Wires.Answers;

/// <summary>
/// Follows an answer in pieces: finds out what it is, puts its events together, and lets the wire's meter read them.
/// Bytes go on to the client at once, but for those of an event that is not whole yet: it might not be for the client.
/// Whatever is not understood passes too, and makes the answer one that is not whole: metered, not replayed.
/// </summary>
/// <param name="isList">Whether the wire's streams may come as one JSON list.</param>
internal sealed class WireReader(IAnswerMeter meter, bool isStream, bool isList = false) : AnswerReader
{
    private const int MaxEventBytes = 4 << 20;
    private const int MaxDocumentBytes = 16 << 20;

    private readonly ArrayBufferWriter<byte> _document = new();
    private IAnswerEvents _events = new SseEvents(MaxEventBytes);
    private Form _form;
    private string? _problem;
    private long _unread;

    private enum Form
    {
        Unknown,
        Events,
        Document,
        Opaque,
    }

    internal static ReadOnlySpan<byte> Done => "[DONE]"u8;

    public override long OutputBytes => meter.OutputBytes + _unread;

    public override bool MayBeWhole => _form != Form.Events || meter.IsFinished;

    public override void Take(ReadOnlySpan<byte> bytes, IBufferWriter<byte> client)
    {
        if (_form == Form.Unknown)
            Begin(ref bytes, client);
        switch (_form)
        {
            case Form.Events:
                TakeEvents(bytes, client);
                break;
            case Form.Document:
                TakeDocument(bytes, client);
                break;
            case Form.Opaque:
                Pass(bytes, client);
                break;
        }
    }

    public override AnswerEnd End(IBufferWriter<byte> client)
    {
        if (_form == Form.Events && _events.TryLast(out var raw) && Understand())
            client.Write(raw);
        if (_form == Form.Document)
            ReadDocument();
        var problem = _problem ?? meter.Problem;
        if (_form == Form.Unknown && !meter.IsFinished)
            problem ??= "nothing came";
        if (_form == Form.Events && !meter.IsFinished)
            problem ??= "the stream ended before its end";
        return new AnswerEnd(problem is null, meter.Usage, meter.Model, problem);
    }

    public override void Cut(IBufferWriter<byte> client)
    {
        // A document was promised whole; nothing written here can mend it.
        if (_form == Form.Document || (_form == Form.Unknown && !isStream))
            return;
        if (_form == Form.Opaque)
        {
            if (_events is ListItems)
                return;
            client.Write("\n\n"u8);
        }

        meter.Terminate(client);
    }

    private void Begin(ref ReadOnlySpan<byte> bytes, IBufferWriter<byte> client)
    {
        var start = bytes.IndexOfAnyExcept(" \r\n\t"u8);
        var blank = start < 0 ? bytes : bytes[..start];
        client.Write(blank);
        bytes = bytes[blank.Length..];
        if (bytes.IsEmpty)
            return;
        var isListed = isList && isStream && bytes[0] == (byte)'[';
        if (isListed)
            _events = new ListItems(MaxEventBytes);
        _form = bytes[0] is (byte)'{' or (byte)'[' && !isListed ? Form.Document : Form.Events;
    }

    private void TakeEvents(ReadOnlySpan<byte> bytes, IBufferWriter<byte> client)
    {
        while (_events.TryNext(ref bytes, out var raw))
        {
            if (Understand())
                client.Write(raw);
        }

        if (!_events.IsFull)
            return;
        _problem ??= $"an event of more than {MaxEventBytes >> 20} MiB";
        _form = Form.Opaque;
        Pass(_events.Raw, client);
        Pass(bytes, client);
    }

    private bool Understand()
    {
        var data = _events.Data;
        if (data.Length == 0)
            return true;
        if (data.Span.SequenceEqual(Done))
        {
            meter.Done();
            return true;
        }

        using var json = Body.TryParse(data);
        if (json is not null)
            return meter.Event(_events.Name, json.RootElement);
        _problem ??= "an event that is no JSON";
        _unread += data.Length;
        return true;
    }

    private void TakeDocument(ReadOnlySpan<byte> bytes, IBufferWriter<byte> client)
    {
        client.Write(bytes);
        if (_document.WrittenCount + bytes.Length <= MaxDocumentBytes)
        {
            _document.Write(bytes);
            return;
        }

        _problem ??= $"more than {MaxDocumentBytes >> 20} MiB";
        _form = Form.Opaque;
        _unread += _document.WrittenCount + bytes.Length;
    }

    private void ReadDocument()
    {
        using var json = Body.TryParse(_document.WrittenMemory);
        if (json is not null)
        {
            meter.Document(json.RootElement);
            return;
        }

        _problem ??= "no whole JSON";
        _unread += _document.WrittenCount;
    }

    private void Pass(ReadOnlySpan<byte> bytes, IBufferWriter<byte> client)
    {
        client.Write(bytes);
        _unread += bytes.Length;
    }
}
