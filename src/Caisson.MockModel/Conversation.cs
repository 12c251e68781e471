using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Caisson.MockModel;

/// <summary>
/// What a request says about where its conversation stands. All of it comes from the request, so a client that crashed
/// and asks again gets the same answer, from this server or the next.
/// </summary>
internal sealed record Conversation(
    string Model,
    string System,
    string Input,
    string Last,
    int AssistantMessages,
    string Hash,
    long InputTokens,
    bool Stream,
    bool StreamUsage)
{
    public static (Conversation? Conversation, string? Problem) Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            return (Read(document.RootElement), null);
        }
        catch (JsonException)
        {
            return (null, "the body is no JSON");
        }
        catch (InvalidOperationException e)
        {
            // The reader's answer to every value of another kind than asked for.
            return (null, $"the body is no chat request: {e.Message}");
        }
        catch (KeyNotFoundException)
        {
            return (null, "the body must have 'model' and 'messages', and each message a 'role'");
        }
    }

    private static Conversation Read(JsonElement root)
    {
        var model = root.GetProperty("model").GetString() ?? throw new InvalidOperationException("'model' is null.");
        var messages = root.GetProperty("messages");
        var (system, input, last, assistants) = ("", (string?)null, "", 0);
        foreach (var message in messages.EnumerateArray())
        {
            var text = message.TryGetProperty("content", out var content) ? Text(content) : "";
            switch (message.GetProperty("role").GetString())
            {
                case "system" or "developer":
                    system += text;
                    break;
                case "user":
                    input ??= text;
                    break;
                case "assistant":
                    assistants++;
                    break;
            }

            last = text;
        }

        var (hash, bytes) = Digest(model, messages);
        var toolBytes = root.TryGetProperty("tools", out var tools) ? Encoding.UTF8.GetByteCount(tools.GetRawText()) : 0;
        var stream = root.TryGetProperty("stream", out var flag) && flag.ValueKind == JsonValueKind.True;
        var usage = root.TryGetProperty("stream_options", out var options) && options.ValueKind == JsonValueKind.Object
            && options.TryGetProperty("include_usage", out var include) && include.ValueKind == JsonValueKind.True;
        return new Conversation(model, system, input ?? "", last, assistants, hash, Tokens.Count(bytes + toolBytes), stream, usage);
    }

    private static string Text(JsonElement content) => content.ValueKind switch
    {
        JsonValueKind.String => content.GetString()!,
        JsonValueKind.Array => string.Concat(content.EnumerateArray().Select(part => part.TryGetProperty("text", out var text) ? text.GetString() : "")),
        _ => "",
    };

    private static (string Hash, long Bytes) Digest(string model, JsonElement messages)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            json.WriteStringValue(model);
            messages.WriteTo(json);
            json.WriteEndArray();
        }

        var bytes = buffer.GetBuffer().AsSpan(0, (int)buffer.Length);
        return (Convert.ToHexStringLower(SHA256.HashData(bytes))[..32], bytes.Length);
    }
}

/// <summary>The mock's way to count: four bytes are a token, and nothing is none.</summary>
internal static class Tokens
{
    public static long Count(long bytes) => Math.Max(1, (bytes + 3) / 4);
}
