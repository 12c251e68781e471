using System.Text;
using System.Text.Json;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.OpenAi;

internal abstract record ChatParse
{
    /// <param name="Usage"><c>null</c>: the provider gave no usable figures.</param>
    public sealed record Understood(ModelAnswer Answer, TokenUsage? Usage) : ChatParse;

    /// <param name="Problem">What was found where. It holds the provider's own text: quote it before it is shown.</param>
    public sealed record Nonsense(string Problem) : ChatParse;
}

/// <summary>
/// Reads an answer of the OpenAI chat wire. Strict where a mistake would reach the agent (text, calls), lenient where a
/// wide-spread server omits what we can do without (ids, finish reason, usage).
/// </summary>
internal static class ChatAnswer
{
    private const int MaxCalls = 128;
    private const int MaxName = 256;

    // A count above this is no count. Without the bound one hostile answer could empty a tenant's budget.
    private const long MaxTokens = 100_000_000;

    public static ChatParse Parse(ReadOnlyMemory<byte> body, string askedModel)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 64 });
            var root = Want(document.RootElement, JsonValueKind.Object, "the answer");
            return new ChatParse.Understood(ReadAnswer(root, askedModel), ReadUsage(root));
        }
        catch (JsonException)
        {
            var start = Encoding.UTF8.GetString(body.Span[..Math.Min(body.Length, ProviderText.Window)]);
            return new ChatParse.Nonsense($"no JSON, {body.Length} bytes that begin: {start}");
        }
        catch (WireException e)
        {
            return new ChatParse.Nonsense(e.Message);
        }
        catch (InvalidOperationException)
        {
            // The reader's answer to an escape such as \ud800 alone.
            return new ChatParse.Nonsense("a text that is no valid Unicode");
        }
    }

    private static ModelAnswer ReadAnswer(JsonElement root, string askedModel)
    {
        if (!root.TryGetProperty("choices", out var choices))
            throw new WireException(root.TryGetProperty("error", out var error) ? $"an error: {error.GetRawText()}" : "no choices");
        if (Want(choices, JsonValueKind.Array, "choices").GetArrayLength() == 0)
            throw new WireException("choices: expected at least one, found an empty list");
        var choice = Want(choices[0], JsonValueKind.Object, "choices[0]");
        if (!choice.TryGetProperty("message", out var message))
            throw new WireException("choices[0]: no message");
        Want(message, JsonValueKind.Object, "choices[0].message");

        var calls = ReadCalls(message);
        var text = ReadContent(message);
        if (text.Length == 0 && calls.Count == 0)
            text = OptionalText(message, "refusal", "choices[0].message.refusal") ?? "";
        var finish = OptionalText(choice, "finish_reason", "choices[0].finish_reason") ?? (calls.Count > 0 ? "tool_calls" : "stop");
        return new ModelAnswer(
            text,
            calls,
            ProviderText.Quote(finish, 64),
            ProviderText.Quote(OptionalText(root, "model", "model") ?? askedModel, MaxName),
            OptionalText(root, "id", "id") is { } id ? ProviderText.Quote(id, MaxName) : null);
    }

    /// <summary>A text, nothing, or a list of parts (some servers send thoughts and text apart; thoughts are not the answer).</summary>
    private static string ReadContent(JsonElement message)
    {
        const string At = "choices[0].message.content";
        if (!message.TryGetProperty("content", out var content) || content.ValueKind == JsonValueKind.Null)
            return "";
        if (content.ValueKind == JsonValueKind.String)
            return content.GetString()!;
        if (content.ValueKind != JsonValueKind.Array)
            throw new WireException($"{At}: expected a text, found {Kind(content)}");

        var text = new StringBuilder();
        foreach (var part in content.EnumerateArray())
        {
            var type = OptionalText(Want(part, JsonValueKind.Object, $"{At}[]"), "type", $"{At}[].type");
            if (type == "text")
                text.Append(OptionalText(part, "text", $"{At}[].text") ?? throw new WireException($"{At}[].text: missing"));
            else if (type is not ("thinking" or "reasoning"))
                throw new WireException($"{At}[].type: expected text, found '{type}'");
        }

        return text.ToString();
    }

    private static List<ToolCall> ReadCalls(JsonElement message)
    {
        const string At = "choices[0].message.tool_calls";
        if (!message.TryGetProperty("tool_calls", out var list) || list.ValueKind == JsonValueKind.Null)
            return [];
        if (Want(list, JsonValueKind.Array, At).GetArrayLength() > MaxCalls)
            throw new WireException($"{At}: {list.GetArrayLength()} calls, at most {MaxCalls} are taken");

        var calls = new List<ToolCall>(list.GetArrayLength());
        foreach (var call in list.EnumerateArray())
        {
            var at = $"{At}[{calls.Count}]";
            Want(call, JsonValueKind.Object, at);
            if (OptionalText(call, "type", $"{at}.type") is { } type and not "function")
                throw new WireException($"{at}.type: expected function, found '{type}'");
            if (!call.TryGetProperty("function", out var function))
                throw new WireException($"{at}.function: missing");
            Want(function, JsonValueKind.Object, $"{at}.function");
            var name = OptionalText(function, "name", $"{at}.function.name");
            if (string.IsNullOrEmpty(name) || name.Length > MaxName)
                throw new WireException($"{at}.function.name: expected 1 to {MaxName} characters, found {name?.Length.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"}");
            var id = OptionalText(call, "id", $"{at}.id");
            if (id?.Length > MaxName)
                throw new WireException($"{at}.id: expected at most {MaxName} characters, found {id.Length}");
            calls.Add(new ToolCall(string.IsNullOrEmpty(id) ? $"call_{calls.Count}" : id, name, ReadArguments(function, at)));
        }

        return calls;
    }

    /// <summary>The text as the model wrote it. Servers that send the object itself give its JSON.</summary>
    private static string ReadArguments(JsonElement function, string at)
    {
        if (!function.TryGetProperty("arguments", out var arguments) || arguments.ValueKind == JsonValueKind.Null)
            return "";
        return arguments.ValueKind switch
        {
            JsonValueKind.String => arguments.GetString()!,
            JsonValueKind.Object => arguments.GetRawText(),
            _ => throw new WireException($"{at}.function.arguments: expected a text, found {Kind(arguments)}"),
        };
    }

    /// <summary>Figures that cannot be true (no prompt has 0 tokens) count as none: the call is then counted here, never free.</summary>
    internal static TokenUsage? ReadUsage(JsonElement root)
    {
        if (!root.TryGetProperty("usage", out var usage) || usage.ValueKind != JsonValueKind.Object)
            return null;
        if (Count(usage, "prompt_tokens") is not (> 0 and var input) || Count(usage, "completion_tokens") is not { } output)
            return null;
        // Some servers leave thoughts out of the output and in the total; they are billed as output.
        output = Math.Max(output, (Count(usage, "total_tokens") ?? 0) - input);
        var details = usage.TryGetProperty("prompt_tokens_details", out var d) && d.ValueKind == JsonValueKind.Object ? d : default;
        var cached = Count(details, "cached_tokens") ?? Count(usage, "prompt_cache_hit_tokens") ?? 0;
        var written = Count(details, "cache_write_tokens") ?? 0;
        cached = Math.Min(cached, input);
        return new TokenUsage(input, output, cached, Math.Min(written, input - cached));
    }

    private static long? Count(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var count) && count is >= 0 and <= MaxTokens
            ? count
            : null;

    private static string? OptionalText(JsonElement parent, string name, string at)
    {
        if (!parent.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return Want(value, JsonValueKind.String, at).GetString();
    }

    private static JsonElement Want(JsonElement element, JsonValueKind kind, string at) =>
        element.ValueKind == kind ? element : throw new WireException($"{at}: expected {Kind(kind)}, found {Kind(element)}");

    private static string Kind(JsonElement element) => Kind(element.ValueKind);

    private static string Kind(JsonValueKind kind) => kind switch
    {
        JsonValueKind.String => "a text",
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };

    /// <summary>Leaves the parser's depths; never leaves this file.</summary>
    private sealed class WireException(string message) : Exception(message);
}
