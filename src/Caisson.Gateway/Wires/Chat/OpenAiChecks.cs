using System.Globalization;
using System.Text.Json;

namespace Caisson.Gateway.Wires.Chat;

/// <summary>What the wires of the OpenAI family have in common.</summary>
internal static class OpenAiChecks
{
    /// <summary>More messages than any agent has, few enough to hash each.</summary>
    public const int MaxMessages = 10_000;

    public static WireError? Tier(JsonElement root) => root.At("service_tier") switch
    {
        { ValueKind: JsonValueKind.Undefined or JsonValueKind.Null } => null,
        { ValueKind: JsonValueKind.String } tier when tier.GetString() is "auto" or "default" or "flex" or "standard_only" => null,
        _ => FieldRules.Denied("service_tier", "has prices of its own; leave it out, or send auto, default or flex"),
    };

    /// <summary>An address in a request must hold the data itself.</summary>
    public static WireError? Inline(string? url, string at) =>
        MediaBounds.InlineType(url) is null
            ? FieldRules.Denied(at, "the provider would fetch it, past this run's egress; send the content as a data: URL")
            : null;

    public static WireError? List(JsonElement list, string at, int least = 1)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() < least)
            return FieldRules.Invalid(at, least > 0 ? "expected a list with at least one element" : "expected a list");
        if (list.GetArrayLength() > MaxMessages)
            return FieldRules.Invalid(at, $"at most {MaxMessages} elements are taken");
        return list.Items().Index().Where(i => i.Item.ValueKind != JsonValueKind.Object).Select(i => FieldRules.Invalid($"{at}[{i.Index}]", "expected an object")).FirstOrDefault();
    }

    /// <summary>Where an answer must be long enough to be of use: all that the client asks for, or what lies behind its thoughts.</summary>
    public static int LeastOutput(long? max, long? thinking) =>
        (int)Math.Min(int.MaxValue, thinking is > 0 ? thinking.Value + 1 : Math.Min(256, max ?? 256));

    public static int? Max(long? max) => max is { } bound ? (int)Math.Min(int.MaxValue, bound) : null;

    public static string Summary(int items, string word, int tools)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{items} {word}{(items == 1 ? "" : "s")}");
        return tools == 0 ? text : string.Create(CultureInfo.InvariantCulture, $"{text}, {tools} tool{(tools == 1 ? "" : "s")}");
    }
}
