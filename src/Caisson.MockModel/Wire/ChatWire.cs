using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>Writes answers and errors of the OpenAI chat wire.</summary>
internal static class ChatWire
{
    // A clock would make two answers to the same request differ.
    private const long Created = 1_700_000_000;
    private const int LeastPiece = 16;
    private const int MostPieces = 64;

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ReadOnlyMemory<byte> Completion(MockAnswer answer) => Json(json =>
    {
        Head(json, answer, "chat.completion");
        json.WriteStartArray("choices"u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, 0);
        json.WriteStartObject("message"u8);
        json.WriteString("role"u8, "assistant"u8);
        if (answer.Say.Length == 0 && answer.Calls.Count > 0)
            json.WriteNull("content"u8);
        else
            json.WriteString("content"u8, answer.Say);
        if (answer.Calls.Count > 0)
        {
            json.WriteStartArray("tool_calls"u8);
            foreach (var call in answer.Calls)
                Call(json, null, call.Id, call.Name, call.Arguments);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteString("finish_reason"u8, answer.FinishReason);
        json.WriteEndObject();
        json.WriteEndArray();
        if (answer.Usage is { } usage)
            Usage(json, usage);
    });

    /// <summary>The same answer as server-sent events, without the closing <c>[DONE]</c>.</summary>
    public static IReadOnlyList<ReadOnlyMemory<byte>> Chunks(MockAnswer answer, bool includeUsage)
    {
        var chunks = new List<ReadOnlyMemory<byte>> { Delta(answer, null, json => json.WriteString("role"u8, "assistant"u8)) };
        foreach (var piece in Pieces(answer.Say))
            chunks.Add(Delta(answer, null, json => json.WriteString("content"u8, piece)));
        for (var i = 0; i < answer.Calls.Count; i++)
        {
            var (index, call) = (i, answer.Calls[i]);
            chunks.Add(Delta(answer, null, json => CallDelta(json, index, call.Id, call.Name, "")));
            foreach (var piece in Pieces(call.Arguments))
                chunks.Add(Delta(answer, null, json => CallDelta(json, index, null, null, piece)));
        }

        chunks.Add(Delta(answer, answer.FinishReason, _ => { }));
        if (includeUsage && answer.Usage is { } usage)
        {
            chunks.Add(Json(json =>
            {
                Head(json, answer, "chat.completion.chunk");
                json.WriteStartArray("choices"u8);
                json.WriteEndArray();
                Usage(json, usage);
            }));
        }

        return chunks;
    }

    public static ReadOnlyMemory<byte> Error(string message, string type, string? code) => Json(json =>
    {
        json.WriteStartObject("error"u8);
        json.WriteString("message"u8, message);
        json.WriteString("type"u8, type);
        json.WriteNull("param"u8);
        json.WriteString("code"u8, code);
        json.WriteEndObject();
    });

    public static ReadOnlyMemory<byte> Models(IEnumerable<string> models) => Json(json =>
    {
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var model in models)
        {
            json.WriteStartObject();
            json.WriteString("id"u8, model);
            json.WriteString("object"u8, "model"u8);
            json.WriteNumber("created"u8, Created);
            json.WriteString("owned_by"u8, "mock"u8);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    private static ReadOnlyMemory<byte> Delta(MockAnswer answer, string? finishReason, Action<Utf8JsonWriter> delta) => Json(json =>
    {
        Head(json, answer, "chat.completion.chunk");
        json.WriteStartArray("choices"u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, 0);
        json.WriteStartObject("delta"u8);
        delta(json);
        json.WriteEndObject();
        json.WriteString("finish_reason"u8, finishReason);
        json.WriteEndObject();
        json.WriteEndArray();
    });

    private static void Head(Utf8JsonWriter json, MockAnswer answer, string kind)
    {
        json.WriteString("id"u8, answer.Id);
        json.WriteString("object"u8, kind);
        json.WriteNumber("created"u8, Created);
        json.WriteString("model"u8, answer.Model);
    }

    private static void CallDelta(Utf8JsonWriter json, int index, string? id, string? name, string arguments)
    {
        json.WriteStartArray("tool_calls"u8);
        Call(json, index, id, name, arguments);
        json.WriteEndArray();
    }

    private static void Call(Utf8JsonWriter json, int? index, string? id, string? name, string arguments)
    {
        json.WriteStartObject();
        if (index is { } place)
            json.WriteNumber("index"u8, place);
        if (id is not null)
        {
            json.WriteString("id"u8, id);
            json.WriteString("type"u8, "function"u8);
        }

        json.WriteStartObject("function"u8);
        if (name is not null)
            json.WriteString("name"u8, name);
        json.WriteString("arguments"u8, arguments);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Usage(Utf8JsonWriter json, MockUsage usage)
    {
        json.WriteStartObject("usage"u8);
        json.WriteNumber("prompt_tokens"u8, usage.Input);
        json.WriteNumber("completion_tokens"u8, usage.Output);
        json.WriteNumber("total_tokens"u8, usage.Input + usage.Output);
        json.WriteStartObject("prompt_tokens_details"u8);
        json.WriteNumber("cached_tokens"u8, usage.Cached);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>Parts of a text that never tear a surrogate pair; a long text gets longer parts, not more of them.</summary>
    private static IEnumerable<string> Pieces(string text)
    {
        var length = Math.Max(LeastPiece, text.Length / MostPieces);
        for (var start = 0; start < text.Length;)
        {
            var end = Math.Min(text.Length, start + length);
            if (end < text.Length && char.IsLowSurrogate(text[end]))
                end++;
            yield return text[start..end];
            start = end;
        }
    }

    private static ReadOnlyMemory<byte> Json(Action<Utf8JsonWriter> members)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes, Writing);
        json.WriteStartObject();
        members(json);
        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenMemory;
    }
}
