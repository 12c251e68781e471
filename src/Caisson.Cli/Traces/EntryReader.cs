using System.Text.Json;
using Caisson.Contracts;

namespace Caisson.Cli.Traces;

/// <summary>Reads fields of an entry's body. A field that is not there reads as nothing: a newer server may say more, an older one less.</summary>
internal static class EntryReader
{
    internal static string Text(this JsonElement body, params ReadOnlySpan<string> path) =>
        body.At(path) is { ValueKind: JsonValueKind.String } value ? value.GetString() ?? "" : "";

    internal static long Number(this JsonElement body, params ReadOnlySpan<string> path) =>
        body.At(path) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out var number) ? number : 0;

    internal static bool Flag(this JsonElement body, params ReadOnlySpan<string> path) =>
        body.At(path) is { ValueKind: JsonValueKind.True };

    internal static bool Has(this JsonElement body, params ReadOnlySpan<string> path) =>
        body.At(path) is { ValueKind: not JsonValueKind.Null };

    /// <summary>An enum's word, however it was stored.</summary>
    internal static string Word(this JsonElement body, params ReadOnlySpan<string> path) =>
        JsonNamingPolicy.SnakeCaseLower.ConvertName(body.Text(path));

    internal static JsonElement? At(this JsonElement body, params ReadOnlySpan<string> path)
    {
        var at = body;
        foreach (var name in path)
        {
            if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(name, out at))
                return null;
        }

        return at;
    }

    /// <summary>What a step does, as one short line: <c>shell {"command":"ls"}</c>.</summary>
    internal static string Subject(JsonElement body, int most)
    {
        var arguments = body.Text("step", "arguments");
        var name = body.Text("step", "name");
        return PlainText.Line(arguments.Length == 0 ? name : $"{name} {arguments}", most);
    }
}
