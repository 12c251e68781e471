using System.Globalization;
using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>Gemini, whose path names the model and says whether it streams. Model contents in a row are one turn: its clients keep a stream's pieces apart.</summary>
internal sealed class GeminiWire(string model, StreamForm stream) : IWire
{
    public string Name => WireNames.Gemini;

    public string Needs => "'contents'";

    // Its calls need none, and clients make their own.
    public string? CallIdPrefix => null;

    public string? RequestIdHeader => null;

    public Conversation Read(JsonElement request)
    {
        // A count may hold the request that it is for.
        if (request.TryGetProperty("generateContentRequest", out var inner))
            request = inner;
        var transcript = new Transcript(runsAreOneTurn: true);
        foreach (var name in (ReadOnlySpan<string>)["systemInstruction", "system_instruction"])
        {
            if (request.TryGetProperty(name, out var system))
                transcript.System(system.ValueKind == JsonValueKind.Object ? Transcript.TextOf(system, "parts") : Transcript.Text(system));
        }

        foreach (var content in request.GetProperty("contents").EnumerateArray())
        {
            var text = Transcript.TextOf(content, "parts");
            if (content.TryGetProperty("role", out var role) && role.GetString() == "model")
                transcript.Assistant(text);
            else
                transcript.User(text, Results(content));
        }

        return transcript.Close(Name, model, request, stream, "systemInstruction", "system_instruction", "contents");
    }

    public ReadOnlyMemory<byte> Whole(MockAnswer answer) => Response(answer, true, json =>
    {
        if (answer.HasText)
            Text(json, answer.Say);
        foreach (var call in answer.Calls)
            Call(json, call);
    });

    public IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer)
    {
        var list = answer.Asked.Stream == StreamForm.List;
        var first = true;
        foreach (var response in Responses(answer))
        {
            yield return list ? (byte[])[.. first ? "["u8 : ",\r\n"u8, .. response.Span] : Frame(response);
            first = false;
        }

        if (list)
            yield return "]\n"u8.ToArray();
    }

    public ReadOnlyMemory<byte> Error(Refusal refusal) => WireJson.Object(json =>
    {
        json.WriteStartObject("error"u8);
        json.WriteNumber("code"u8, refusal.Status);
        json.WriteString("message"u8, refusal.Message);
        json.WriteString("status"u8, refusal.Status switch
        {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            402 or 429 => "RESOURCE_EXHAUSTED",
            503 or 529 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            >= 500 => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        });
        if (refusal.RetryAfter is { } seconds)
        {
            // Its clients look here, not at the header.
            json.WriteStartArray("details"u8);
            json.WriteStartObject();
            json.WriteString("@type"u8, "type.googleapis.com/google.rpc.RetryInfo"u8);
            json.WriteString("retryDelay"u8, string.Create(CultureInfo.InvariantCulture, $"{seconds}s"));
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteEndObject();
    });

    public ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after) =>
        answer.Asked.Stream == StreamForm.List ? (byte[])[.. after == 0 ? "["u8 : ",\r\n"u8, .. Error(refusal).Span, .. "]\n"u8] : Frame(Error(refusal));

    public static ReadOnlyMemory<byte> Count(long tokens) => WireJson.Object(json =>
    {
        json.WriteNumber("totalTokens"u8, tokens);
        Details(json, tokens);
    });

    private static IEnumerable<ReadOnlyMemory<byte>> Responses(MockAnswer answer)
    {
        var parts = new List<Action<Utf8JsonWriter>>();
        if (answer.HasText)
            parts.AddRange(WireJson.Pieces(answer.Say).DefaultIfEmpty("").Select(piece => (Action<Utf8JsonWriter>)(json => Text(json, piece))));
        parts.AddRange(answer.Calls.Select(call => (Action<Utf8JsonWriter>)(json => Call(json, call))));
        for (var i = 0; i < parts.Count; i++)
            yield return Response(answer, i == parts.Count - 1, parts[i]);
    }

    // This provider ends its lines with both characters.
    private static byte[] Frame(ReadOnlyMemory<byte> response) => [.. "data: "u8, .. response.Span, .. "\r\n\r\n"u8];

    private static ReadOnlyMemory<byte> Response(MockAnswer answer, bool last, Action<Utf8JsonWriter> parts) => WireJson.Object(json =>
    {
        json.WriteStartArray("candidates"u8);
        json.WriteStartObject();
        json.WriteStartObject("content"u8);
        json.WriteStartArray("parts"u8);
        parts(json);
        json.WriteEndArray();
        json.WriteString("role"u8, "model"u8);
        json.WriteEndObject();
        if (last)
            json.WriteString("finishReason"u8, "STOP"u8);
        json.WriteNumber("index"u8, 0);
        json.WriteEndObject();
        json.WriteEndArray();
        if (answer.Usage is { } usage)
            Usage(json, usage, last);
        json.WriteString("modelVersion"u8, answer.Asked.Model);
        json.WriteString("responseId"u8, answer.Asked.Hash);
    });

    private static void Text(Utf8JsonWriter json, string text)
    {
        json.WriteStartObject();
        json.WriteString("text"u8, text);
        json.WriteEndObject();
    }

    private static void Call(Utf8JsonWriter json, MockCall call)
    {
        json.WriteStartObject();
        json.WriteStartObject("functionCall"u8);
        if (call.Id is not null)
            json.WriteString("id"u8, call.Id);
        json.WriteString("name"u8, call.Name);
        WireJson.WriteArguments(json, "args", call.Arguments);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>On this wire thoughts stand beside the answer's tokens, and what is zero is left out. The last figures count.</summary>
    private static void Usage(Utf8JsonWriter json, MockUsage usage, bool last)
    {
        json.WriteStartObject("usageMetadata"u8);
        json.WriteNumber("promptTokenCount"u8, usage.Input);
        if (last)
            json.WriteNumber("candidatesTokenCount"u8, usage.Output - usage.Reasoning);
        json.WriteNumber("totalTokenCount"u8, last ? usage.Total : usage.Input);
        if (usage.Cached > 0)
            json.WriteNumber("cachedContentTokenCount"u8, usage.Cached);
        if (usage.Reasoning > 0 && last)
            json.WriteNumber("thoughtsTokenCount"u8, usage.Reasoning);
        Details(json, usage.Input);
        json.WriteEndObject();
    }

    private static void Details(Utf8JsonWriter json, long tokens)
    {
        json.WriteStartArray("promptTokensDetails"u8);
        json.WriteStartObject();
        json.WriteString("modality"u8, "TEXT"u8);
        json.WriteNumber("tokenCount"u8, tokens);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static string Results(JsonElement content) =>
        content.TryGetProperty("parts", out var parts)
            ? string.Concat(parts.EnumerateArray().Select(part => part.TryGetProperty("functionResponse", out var result) && result.TryGetProperty("response", out var response) ? Strings(response) : ""))
            : "";

    /// <summary>All texts of a tool's result, which is an object of the tool's own making.</summary>
    private static string Strings(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Object => string.Concat(value.EnumerateObject().Select(member => Strings(member.Value))),
        JsonValueKind.Array => string.Concat(value.EnumerateArray().Select(Strings)),
        _ => value.GetRawText(),
    };
}
