using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>Anthropic messages. Assistant messages in a row are one turn, as this provider takes them.</summary>
internal sealed class AnthropicWire : IWire
{
    public string Name => WireNames.Anthropic;

    public string Needs => "'model' and 'messages', and each message a 'role'";

    public string? CallIdPrefix => "toolu";

    public string? RequestIdHeader => "request-id";

    public Conversation Read(JsonElement request)
    {
        var transcript = new Transcript(runsAreOneTurn: true);
        transcript.System(Transcript.TextOf(request, "system"));
        foreach (var message in request.GetProperty("messages").EnumerateArray())
        {
            var text = Transcript.TextOf(message, "content");
            switch (message.GetProperty("role").GetString())
            {
                case "assistant":
                    transcript.Assistant(text);
                    break;
                case "system":
                    transcript.System(text);
                    break;
                default:
                    transcript.User(text, Results(message));
                    break;
            }
        }

        return transcript.Close(Name, Transcript.ModelOf(request), request, Transcript.StreamOf(request), "system", "messages");
    }

    public ReadOnlyMemory<byte> Whole(MockAnswer answer) => WireJson.Object(json => Message(json, answer, whole: true));

    public IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer)
    {
        yield return Piece("message_start", json =>
        {
            json.WriteStartObject("message"u8);
            Message(json, answer, whole: false);
            json.WriteEndObject();
        });
        yield return Piece("ping", _ => { });
        var index = 0;
        if (answer.HasText)
        {
            yield return Start(index, json => Text(json, ""));
            foreach (var piece in WireJson.Pieces(answer.Say))
                yield return Delta(index, "text_delta", "text", piece);
            yield return Piece("content_block_stop", json => json.WriteNumber("index"u8, index));
            index++;
        }

        foreach (var call in answer.Calls)
        {
            var place = index++;
            yield return Start(place, json => ToolUse(json, call, "{}"));
            // The first piece of a call is empty on this wire.
            foreach (var piece in WireJson.Pieces(call.Arguments).Prepend(""))
                yield return Delta(place, "input_json_delta", "partial_json", piece);
            yield return Piece("content_block_stop", json => json.WriteNumber("index"u8, place));
        }

        yield return Piece("message_delta", json =>
        {
            json.WriteStartObject("delta"u8);
            Stop(json, StopReason(answer));
            json.WriteEndObject();
            if (answer.Usage is { } usage)
                Usage(json, usage, usage.Output);
        });
        yield return Piece("message_stop", _ => { });
    }

    public ReadOnlyMemory<byte> Error(Refusal refusal) => WireJson.Object(json =>
    {
        json.WriteString("type"u8, "error"u8);
        Problem(json, refusal);
        json.WriteString("request_id"u8, refusal.RequestId);
    });

    public ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after) => Piece("error", json => Problem(json, refusal));

    public static ReadOnlyMemory<byte> Count(long tokens) => WireJson.Object(json => json.WriteNumber("input_tokens"u8, tokens));

    private static string StopReason(MockAnswer answer) => answer.Calls.Count > 0 ? "tool_use" : "end_turn";

    private static string Results(JsonElement message)
    {
        var content = message.GetProperty("content");
        return content.ValueKind == JsonValueKind.Array
            ? string.Concat(content.EnumerateArray().Select(block => Transcript.TextOf(block, "content")))
            : "";
    }

    private static void Message(Utf8JsonWriter json, MockAnswer answer, bool whole)
    {
        json.WriteString("id"u8, $"msg_{answer.Asked.Hash}");
        json.WriteString("type"u8, "message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("model"u8, answer.Asked.Model);
        json.WriteStartArray("content"u8);
        if (whole)
            Content(json, answer);
        json.WriteEndArray();
        Stop(json, whole ? StopReason(answer) : null);
        if (answer.Usage is { } usage)
            Usage(json, usage, whole ? usage.Output : Math.Min(1, usage.Output));
    }

    private static void Content(Utf8JsonWriter json, MockAnswer answer)
    {
        if (answer.HasText)
        {
            json.WriteStartObject();
            Text(json, answer.Say);
            json.WriteEndObject();
        }

        foreach (var call in answer.Calls)
        {
            json.WriteStartObject();
            ToolUse(json, call, call.Arguments);
            json.WriteEndObject();
        }
    }

    private static void Text(Utf8JsonWriter json, string text)
    {
        json.WriteString("type"u8, "text"u8);
        json.WriteString("text"u8, text);
    }

    private static void ToolUse(Utf8JsonWriter json, MockCall call, string input)
    {
        json.WriteString("type"u8, "tool_use"u8);
        json.WriteString("id"u8, call.Id);
        json.WriteString("name"u8, call.Name);
        WireJson.WriteArguments(json, "input", input);
    }

    private static void Stop(Utf8JsonWriter json, string? reason)
    {
        json.WriteString("stop_reason"u8, reason);
        json.WriteNull("stop_sequence"u8);
    }

    private static ReadOnlyMemory<byte> Start(int index, Action<Utf8JsonWriter> block) => Piece("content_block_start", json =>
    {
        json.WriteNumber("index"u8, index);
        json.WriteStartObject("content_block"u8);
        block(json);
        json.WriteEndObject();
    });

    private static ReadOnlyMemory<byte> Delta(int index, string type, string name, string piece) => Piece("content_block_delta", json =>
    {
        json.WriteNumber("index"u8, index);
        json.WriteStartObject("delta"u8);
        json.WriteString("type"u8, type);
        json.WriteString(name, piece);
        json.WriteEndObject();
    });

    private static ReadOnlyMemory<byte> Piece(string type, Action<Utf8JsonWriter> members) => WireJson.Event(type, WireJson.Object(json =>
    {
        json.WriteString("type"u8, type);
        members(json);
    }));

    /// <summary>On this wire the three kinds of input stand beside each other, and each output figure holds all before it.</summary>
    private static void Usage(Utf8JsonWriter json, MockUsage usage, long output)
    {
        json.WriteStartObject("usage"u8);
        json.WriteNumber("input_tokens"u8, usage.Input - usage.Cached - usage.Written);
        json.WriteNumber("cache_creation_input_tokens"u8, usage.Written);
        json.WriteNumber("cache_read_input_tokens"u8, usage.Cached);
        json.WriteNumber("output_tokens"u8, output);
        json.WriteEndObject();
    }

    private static void Problem(Utf8JsonWriter json, Refusal refusal)
    {
        json.WriteStartObject("error"u8);
        json.WriteString("type"u8, refusal.Status switch
        {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            >= 500 => "api_error",
            _ => "invalid_request_error",
        });
        json.WriteString("message"u8, refusal.Message);
        json.WriteEndObject();
    }
}
