using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>OpenAI chat completions. Each assistant message is a turn, also two in a row.</summary>
internal sealed class ChatWire : IWire
{
    private static readonly byte[] Done = "data: [DONE]\n\n"u8.ToArray();

    public string Name => WireNames.Chat;

    public string Needs => "'model' and 'messages', and each message a 'role'";

    public string? CallIdPrefix => "call";

    public string? RequestIdHeader => "x-request-id";

    public Conversation Read(JsonElement request)
    {
        var transcript = new Transcript(runsAreOneTurn: false);
        foreach (var message in request.GetProperty("messages").EnumerateArray())
        {
            var text = Transcript.TextOf(message, "content");
            switch (message.GetProperty("role").GetString())
            {
                case "system" or "developer":
                    transcript.System(text);
                    break;
                case "user":
                    transcript.User(text);
                    break;
                case "assistant":
                    transcript.Assistant(text);
                    break;
                default:
                    transcript.Result(text);
                    break;
            }
        }

        return transcript.Close(Name, Transcript.ModelOf(request), request, Transcript.StreamOf(request), "messages");
    }

    public ReadOnlyMemory<byte> Whole(MockAnswer answer) => WireJson.Object(json =>
    {
        Head(json, answer, "chat.completion");
        json.WriteStartArray("choices"u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, 0);
        json.WriteStartObject("message"u8);
        json.WriteString("role"u8, "assistant"u8);
        json.WriteString("content"u8, answer.HasText ? answer.Say : null);
        json.WriteNull("refusal"u8);
        if (answer.Calls.Count > 0)
        {
            json.WriteStartArray("tool_calls"u8);
            foreach (var call in answer.Calls)
                Call(json, null, call.Id, call.Name, call.Arguments);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        json.WriteNull("logprobs"u8);
        json.WriteString("finish_reason"u8, FinishReason(answer));
        json.WriteEndObject();
        json.WriteEndArray();
        if (answer.Usage is { } usage)
            Usage(json, usage);
    });

    public IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer)
    {
        yield return Delta(answer, null, json => json.WriteString("role"u8, "assistant"u8));
        foreach (var piece in WireJson.Pieces(answer.Say))
            yield return Delta(answer, null, json => json.WriteString("content"u8, piece));
        for (var i = 0; i < answer.Calls.Count; i++)
        {
            var (index, call) = (i, answer.Calls[i]);
            yield return Delta(answer, null, json => CallDelta(json, index, call.Id, call.Name, ""));
            foreach (var piece in WireJson.Pieces(call.Arguments))
                yield return Delta(answer, null, json => CallDelta(json, index, null, null, piece));
        }

        yield return Delta(answer, FinishReason(answer), _ => { });
        if (WantsUsage(answer) && answer.Usage is { } usage)
        {
            yield return WireJson.Event(WireJson.Object(json =>
            {
                Head(json, answer, "chat.completion.chunk");
                json.WriteStartArray("choices"u8);
                json.WriteEndArray();
                Usage(json, usage);
            }));
        }

        yield return Done;
    }

    public ReadOnlyMemory<byte> Error(Refusal refusal) => OpenAiForms.Error(refusal);

    public ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after) => WireJson.Event(Error(refusal));

    private static string FinishReason(MockAnswer answer) => answer.Calls.Count > 0 ? "tool_calls" : "stop";

    private static bool WantsUsage(MockAnswer answer) =>
        answer.Asked.Request.TryGetProperty("stream_options", out var options) && options.ValueKind == JsonValueKind.Object
        && options.TryGetProperty("include_usage", out var include) && include.ValueKind == JsonValueKind.True;

    private static ReadOnlyMemory<byte> Delta(MockAnswer answer, string? finishReason, Action<Utf8JsonWriter> delta) => WireJson.Event(WireJson.Object(json =>
    {
        Head(json, answer, "chat.completion.chunk");
        json.WriteStartArray("choices"u8);
        json.WriteStartObject();
        json.WriteNumber("index"u8, 0);
        json.WriteStartObject("delta"u8);
        delta(json);
        json.WriteEndObject();
        json.WriteNull("logprobs"u8);
        json.WriteString("finish_reason"u8, finishReason);
        json.WriteEndObject();
        json.WriteEndArray();
        if (WantsUsage(answer) && answer.Usage is not null)
            json.WriteNull("usage"u8);
    }));

    private static void Head(Utf8JsonWriter json, MockAnswer answer, string kind)
    {
        json.WriteString("id"u8, $"chatcmpl-mock-{answer.Asked.Hash[..16]}");
        json.WriteString("object"u8, kind);
        json.WriteNumber("created"u8, WireJson.Created);
        json.WriteString("model"u8, answer.Asked.Model);
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
        json.WriteNumber("total_tokens"u8, usage.Total);
        json.WriteStartObject("prompt_tokens_details"u8);
        json.WriteNumber("cached_tokens"u8, usage.Cached);
        json.WriteEndObject();
        json.WriteStartObject("completion_tokens_details"u8);
        json.WriteNumber("reasoning_tokens"u8, usage.Reasoning);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
