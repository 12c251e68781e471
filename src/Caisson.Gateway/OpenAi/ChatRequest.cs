using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Caisson.Core.Models;

namespace Caisson.Gateway.OpenAi;

/// <summary>Writes a request of the OpenAI chat wire.</summary>
internal static class ChatRequest
{
    // The wire is no HTML page: plain letters instead of \u escapes keep the bytes, and so the hold, small.
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ReadOnlyMemory<byte> Write(ModelRequest request, string model, string maxTokensField, int maxOutputTokens)
    {
        var bytes = new ArrayBufferWriter<byte>(4096);
        using var json = new Utf8JsonWriter(bytes, Writing);
        json.WriteStartObject();
        json.WriteString("model"u8, model);
        json.WriteStartArray("messages"u8);
        foreach (var message in request.Messages)
            WriteMessage(json, message);
        // A user message, because several servers refuse a system message that is not the first.
        if (request.Note is { } note)
            WriteMessage(json, ModelMessage.User(note));
        json.WriteEndArray();
        if (request.Tools.Count > 0)
            WriteTools(json, request.Tools);
        if (request is { ToolsOff: true, Tools.Count: > 0 })
            json.WriteString("tool_choice"u8, "none"u8);
        json.WriteNumber(maxTokensField, maxOutputTokens);
        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenMemory;
    }

    private static void WriteMessage(Utf8JsonWriter json, ModelMessage message)
    {
        json.WriteStartObject();
        json.WriteString("role"u8, RoleName(message.Role));
        if (message.Calls.Count > 0 && message.Text.Length == 0)
            json.WriteNull("content"u8);
        else
            json.WriteString("content"u8, message.Text);
        if (message.Calls.Count > 0)
        {
            json.WriteStartArray("tool_calls"u8);
            foreach (var call in message.Calls)
                WriteCall(json, call);
            json.WriteEndArray();
        }

        if (message.Role == ModelRole.Tool)
            json.WriteString("tool_call_id"u8, message.CallId ?? "");
        json.WriteEndObject();
    }

    private static void WriteCall(Utf8JsonWriter json, ToolCall call)
    {
        json.WriteStartObject();
        json.WriteString("id"u8, call.Id);
        json.WriteString("type"u8, "function"u8);
        json.WriteStartObject("function"u8);
        json.WriteString("name"u8, call.Name);
        json.WriteString("arguments"u8, call.Arguments);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteTools(Utf8JsonWriter json, IReadOnlyList<ToolDefinition> tools)
    {
        json.WriteStartArray("tools"u8);
        foreach (var tool in tools)
        {
            json.WriteStartObject();
            json.WriteString("type"u8, "function"u8);
            json.WriteStartObject("function"u8);
            json.WriteString("name"u8, tool.Name);
            json.WriteString("description"u8, tool.Description);
            json.WritePropertyName("parameters"u8);
            json.WriteRawValue(tool.Schema);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string RoleName(ModelRole role) => role switch
    {
        ModelRole.System => "system",
        ModelRole.User => "user",
        ModelRole.Assistant => "assistant",
        ModelRole.Tool => "tool",
        _ => throw new ArgumentOutOfRangeException(nameof(role), role, "not a role"),
    };
}
