using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace Caisson.MockModel;

/// <summary>
/// One JSON line per event of a request. A line is in the file before the byte that it tells of leaves, so whoever has
/// an answer finds its line, and a killed server leaves no answered call untold.
/// </summary>
internal sealed class RequestLog : IDisposable
{
    private readonly Lock _lock = new();
    private readonly FileStream? _file;
    private readonly TimeProvider _time;

    public RequestLog(string? path, TimeProvider time)
    {
        _time = time;
        // No buffer: each line is one write to the operating system.
        _file = path is null ? null : new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    }

    public void Dispose() => _file?.Dispose();

    public void Write(RequestEvent entry)
    {
        if (_file is null)
            return;
        var bytes = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteString("at"u8, _time.GetUtcNow().ToString("O", CultureInfo.InvariantCulture));
            json.WriteNumber("n"u8, entry.Number);
            json.WriteString("event"u8, entry.Event);
            json.WriteString("wire"u8, entry.Request.Wire);
            json.WriteString("model"u8, entry.Request.Model);
            json.WriteString("idempotency_key"u8, entry.Request.IdempotencyKey);
            json.WriteString("run_epoch"u8, entry.Request.RunEpoch);
            json.WriteString("attempt"u8, entry.Request.Attempt);
            json.WriteString("conversation_hash"u8, entry.Request.ConversationHash);
            json.WriteNumber("turn"u8, entry.Request.Turn);
            if (entry.Status is { } status)
                json.WriteNumber("status"u8, status);
            else
                json.WriteNull("status"u8);
            if (entry.Usage is { } usage)
            {
                json.WriteStartObject("usage"u8);
                json.WriteNumber("input"u8, usage.Input);
                json.WriteNumber("output"u8, usage.Output);
                json.WriteNumber("cached"u8, usage.Cached);
                json.WriteNumber("written"u8, usage.Written);
                json.WriteNumber("reasoning"u8, usage.Reasoning);
                json.WriteEndObject();
            }
            else
            {
                json.WriteNull("usage"u8);
            }

            json.WriteEndObject();
        }

        bytes.Write("\n"u8);
        lock (_lock)
            _file.Write(bytes.WrittenSpan);
    }
}

internal sealed record RequestFacts(string Wire, string Model, string? IdempotencyKey, string? RunEpoch, string? Attempt, string ConversationHash, long Turn);

/// <param name="Event"><c>request</c>; then <c>answered</c>, <c>failed</c>, or <c>free</c>: answered, and no provider bills it.</param>
internal sealed record RequestEvent(long Number, string Event, RequestFacts Request, int? Status, MockUsage? Usage);
