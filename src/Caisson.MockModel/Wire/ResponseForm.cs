using System.Text.Json;

namespace Caisson.MockModel.Wire;

internal enum ResponseState
{
    InProgress,
    Completed,
    Failed,
}

/// <summary>The response object of the responses wire, and its output items.</summary>
internal static class ResponseForm
{
    // What an answer repeats of its request, and its value where the request does not say it.
    private static readonly (string Name, string Otherwise)[] Echoes =
    [
        ("instructions", "null"), ("max_output_tokens", "null"), ("metadata", "{}"), ("parallel_tool_calls", "true"), ("previous_response_id", "null"),
        ("reasoning", """{"effort":null,"summary":null}"""), ("store", "true"), ("temperature", "1"), ("text", """{"format":{"type":"text"}}"""),
        ("tool_choice", "\"auto\""), ("tools", "[]"), ("top_p", "1"), ("truncation", "\"disabled\""), ("user", "null"),
    ];

    public static void Write(Utf8JsonWriter json, MockAnswer answer, string id, ResponseState state, Refusal? failure = null)
    {
        json.WriteString("id"u8, id);
        json.WriteString("object"u8, "response"u8);
        json.WriteNumber("created_at"u8, WireJson.Created);
        json.WriteString("status"u8, state switch { ResponseState.InProgress => "in_progress", ResponseState.Completed => "completed", _ => "failed" });
        json.WriteBoolean("background"u8, false);
        WriteFailure(json, failure);
        json.WriteNull("incomplete_details"u8);
        json.WriteString("model"u8, answer.Asked.Model);
        json.WriteStartArray("output"u8);
        if (state == ResponseState.Completed)
            WriteOutput(json, answer);
        json.WriteEndArray();
        foreach (var (name, otherwise) in Echoes)
            WireJson.WriteEcho(json, answer.Asked.Request, name, otherwise);
        json.WriteString("service_tier"u8, "default"u8);
        if (state == ResponseState.Completed && answer.Usage is { } usage)
            WriteUsage(json, usage);
        else
            json.WriteNull("usage"u8);
    }

    public static string MessageId(MockAnswer answer) => $"msg_{answer.Asked.Hash}";

    public static string CallItemId(MockAnswer answer, int index) => $"fc_{answer.Asked.Hash}{index + 1:D2}";

    public static void WriteMessage(Utf8JsonWriter json, MockAnswer answer, bool done)
    {
        json.WriteString("id"u8, MessageId(answer));
        json.WriteString("type"u8, "message"u8);
        json.WriteString("status"u8, done ? "completed" : "in_progress");
        json.WriteString("role"u8, "assistant"u8);
        json.WriteStartArray("content"u8);
        if (done)
        {
            json.WriteStartObject();
            WritePart(json, answer.Say);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public static void WritePart(Utf8JsonWriter json, string text)
    {
        json.WriteString("type"u8, "output_text"u8);
        json.WriteStartArray("annotations"u8);
        json.WriteEndArray();
        json.WriteStartArray("logprobs"u8);
        json.WriteEndArray();
        json.WriteString("text"u8, text);
    }

    public static void WriteCall(Utf8JsonWriter json, MockAnswer answer, int index, bool done)
    {
        var call = answer.Calls[index];
        json.WriteString("id"u8, CallItemId(answer, index));
        json.WriteString("type"u8, "function_call"u8);
        json.WriteString("status"u8, done ? "completed" : "in_progress");
        json.WriteString("arguments"u8, done ? call.Arguments : "");
        json.WriteString("call_id"u8, call.Id);
        json.WriteString("name"u8, call.Name);
    }

    private static void WriteOutput(Utf8JsonWriter json, MockAnswer answer)
    {
        if (answer.HasText)
        {
            json.WriteStartObject();
            WriteMessage(json, answer, done: true);
            json.WriteEndObject();
        }

        for (var i = 0; i < answer.Calls.Count; i++)
        {
            json.WriteStartObject();
            WriteCall(json, answer, i, done: true);
            json.WriteEndObject();
        }
    }

    private static void WriteFailure(Utf8JsonWriter json, Refusal? failure)
    {
        if (failure is null)
        {
            json.WriteNull("error"u8);
            return;
        }

        json.WriteStartObject("error"u8);
        json.WriteString("code"u8, failure.Status == 429 ? "rate_limit_exceeded" : "server_error");
        json.WriteString("message"u8, failure.Message);
        json.WriteEndObject();
    }

    private static void WriteUsage(Utf8JsonWriter json, MockUsage usage)
    {
        json.WriteStartObject("usage"u8);
        json.WriteNumber("input_tokens"u8, usage.Input);
        json.WriteStartObject("input_tokens_details"u8);
        json.WriteNumber("cached_tokens"u8, usage.Cached);
        json.WriteEndObject();
        json.WriteNumber("output_tokens"u8, usage.Output);
        json.WriteStartObject("output_tokens_details"u8);
        json.WriteNumber("reasoning_tokens"u8, usage.Reasoning);
        json.WriteEndObject();
        json.WriteNumber("total_tokens"u8, usage.Total);
        json.WriteEndObject();
    }
}
