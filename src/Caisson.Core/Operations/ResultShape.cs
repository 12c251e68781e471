using System.Text.Json;
using Caisson.Core.Journal;

namespace Caisson.Core.Operations;

/// <summary>
/// Whether what a person sets as a step's result can be its result at all. The type that an author's code asks for is
/// known to that code only; what tools and models answer has one shape, and a replay that cannot read it could only stop.
/// </summary>
internal static class ResultShape
{
    // What the agent's own reader takes.
    private const int MaxDepth = 64;

    /// <summary>The problem in one line, or <c>null</c>.</summary>
    internal static string? Problem(StepKind kind, JsonElement? result)
    {
        if (result is { } given && Unreadable(given, 1) is { } unreadable)
            return unreadable;
        return kind switch
        {
            StepKind.Tool => Tool(result),
            StepKind.Model => Model(result),
            _ => null,
        };
    }

    private static string? Tool(JsonElement? result) =>
        result is { ValueKind: JsonValueKind.Object } tool && Text(tool, "text") ? Unknown(tool, "", "text") : """a tool's result is {"text": "..."}""";

    private static string? Model(JsonElement? result)
    {
        const string shape = """a model's result is {"text": "...", "calls": [{"id": "...", "name": "...", "arguments": "..."}], "finish_reason": "...", "model": "..."}""";
        if (result is not { ValueKind: JsonValueKind.Object } model || !Text(model, "text") || !Text(model, "finish_reason") || !Text(model, "model"))
            return shape;
        if (!model.TryGetProperty("calls", out var calls) || calls.ValueKind != JsonValueKind.Array)
            return shape;
        foreach (var call in calls.EnumerateArray())
        {
            if (call.ValueKind != JsonValueKind.Object || !Text(call, "id") || !Text(call, "name") || !Text(call, "arguments"))
                return shape;
            if (Unknown(call, "calls.", "id", "name", "arguments") is { } more)
                return more;
        }

        return model.TryGetProperty("response_id", out var id) && id.ValueKind is not (JsonValueKind.String or JsonValueKind.Null)
            ? "response_id: allowed is a text"
            : Unknown(model, "", "text", "calls", "finish_reason", "model", "response_id");
    }

    private static bool Text(JsonElement parent, string name) => parent.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String;

    private static string? Unknown(JsonElement element, string at, params ReadOnlySpan<string> known)
    {
        var seen = 0;
        foreach (var property in element.EnumerateObject())
        {
            seen++;
            if (!known.Contains(property.Name))
                return $"{at}{(property.Name.Length > 60 ? property.Name[..60] + "…" : property.Name)}: unknown key, known are {string.Join(", ", known!)}";
        }

        return seen > known.Length ? $"{(at.Length == 0 ? "the result" : at[..^1])}: a key is given twice" : null;
    }

    private static string? Unreadable(JsonElement element, int depth)
    {
        if (depth > MaxDepth)
            return $"it is nested more than {MaxDepth} deep";
        try
        {
            switch (element.ValueKind)
            {
                case JsonValueKind.String:
                    _ = element.GetString();
                    return null;
                case JsonValueKind.Array:
                    foreach (var item in element.EnumerateArray())
                    {
                        if (Unreadable(item, depth + 1) is { } problem)
                            return problem;
                    }

                    return null;
                case JsonValueKind.Object:
                    foreach (var property in element.EnumerateObject())
                    {
                        _ = property.Name;
                        if (Unreadable(property.Value, depth + 1) is { } problem)
                            return problem;
                    }

                    return null;
                default:
                    return null;
            }
        }
        catch (InvalidOperationException)
        {
            return "it holds text that is not valid Unicode";
        }
    }
}
