using System.Collections.Frozen;
using System.Globalization;
using System.Text.Json;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Wires;

/// <summary>
/// Which top-level fields a wire takes. What is known passes or is denied by name; what is not known passes only if it
/// can be no more than a switch (docs/decisions, "Unknown fields").
/// </summary>
/// <param name="known">Names, with blanks between.</param>
internal sealed class FieldRules(string known, params (string Name, string Why)[] denied)
{
    public const string Connects = "with it the provider connects to others, past this run's egress and budget; leave it out, or offer a tool of your own";
    public const string Refers = "names something kept at the provider, which this run cannot be charged for; send the content itself";
    public const string Unpriced = "cannot be priced; leave it out";

    private const int MaxMembers = 8;
    private const int MaxWord = 32;

    // However harmless the value: a name that speaks of reaching out, or of more than one answer, is not waved through.
    private static readonly string[] Reaching =
    [
        "search", "web", "url", "uri", "file", "fetch", "brows", "connect", "mcp", "plugin", "tool", "agent", "server",
        "background", "container", "exec", "hook", "callback", "retriev", "ground", "remote", "http", "crawl", "sandbox",
        "cache", "vector", "assistant", "thread", "session", "previous", "conversation", "tier", "speed", "priorit",
        "candidate", "best", "fallback", "models", "route", "count", "max", "num",
    ];

    private readonly FrozenSet<string> _known = known.Split(' ', StringSplitOptions.RemoveEmptyEntries).ToFrozenSet();
    private readonly FrozenDictionary<string, string> _denied = denied.ToFrozenDictionary(d => d.Name, d => d.Why);

    /// <param name="where">What goes before the names, such as <c>generationConfig.</c>.</param>
    public WireError? Check(JsonElement parent, string where = "") =>
        parent.Members().Select(m => Check(m, where)).FirstOrDefault(e => e is not null);

    public static WireError Denied(string at, string why) => new(WireProblem.Denied, $"{at}: {why}");

    public static WireError Invalid(string at, string why) => new(WireProblem.Invalid, $"{at}: {why}");

    public static string Name(string? text) => ProviderText.Quote(text ?? "", 64);

    /// <summary>A whole number within bounds; nothing where nothing was sent.</summary>
    public static WireError? Number(JsonElement parent, string name, long least, long most, out long? number)
    {
        number = null;
        var value = parent.At(name);
        if (value.IsNothing())
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var found) || found < least || found > most)
            return Invalid(name, string.Create(CultureInfo.InvariantCulture, $"expected a whole number from {least} to {most}"));
        number = found;
        return null;
    }

    public static WireError? Flag(JsonElement parent, string name) =>
        parent.At(name).ValueKind is JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.True or JsonValueKind.False
            ? null
            : Invalid(name, "expected true or false");

    /// <summary>The model's name, which goes into journals, paths and messages.</summary>
    public static WireError? Model(string? model) =>
        model is { Length: > 0 and <= 256 } && model.All(c => c is > ' ' and < '\x7f')
            ? null
            : Invalid("model", "expected a name of 1 to 256 printable characters");

    private WireError? Check(JsonProperty member, string where)
    {
        if (_denied.TryGetValue(member.Name, out var why))
            return IsOff(member.Value) ? null : Denied(where + member.Name, why);
        return _known.Contains(member.Name) || IsOff(member.Value) || IsSwitch(member.Name, member.Value, 2)
            ? null
            : Denied(where + Name(member.Name), "is not known here, and could make the provider connect or charge for more; leave it out");
    }

    private static bool IsOff(JsonElement value) => value.ValueKind is JsonValueKind.Null or JsonValueKind.False;

    private static bool IsSwitch(string name, JsonElement value, int levels) =>
        name.Length <= 64
        && !Reaching.Any(word => name.Contains(word, StringComparison.OrdinalIgnoreCase))
        && value.ValueKind switch
        {
            JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null or JsonValueKind.Number => true,
            JsonValueKind.String => IsWord(value.GetString()!),
            JsonValueKind.Object => levels > 1 && value.EnumerateObject().Count() <= MaxMembers && value.EnumerateObject().All(m => IsSwitch(m.Name, m.Value, levels - 1)),
            _ => false,
        };

    // No digits: an id of something kept at the provider is no word.
    private static bool IsWord(string text) => text.Length <= MaxWord && text.All(c => char.IsAsciiLetter(c) || c is '_' or '-');
}
