using System.Collections.Frozen;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Prices;

/// <summary>
/// Our own file of prices: <c>source</c>, <c>date</c>, and below <c>providers</c> a list of lines for each, with
/// <c>match</c> (names or globs), integer pico-USD per token (<c>input</c>, <c>output</c>, <c>cached</c>,
/// <c>cache_write</c>), the same rates <c>over</c> a number of input <c>tokens</c>, and the size of the <c>context</c>.
/// </summary>
internal static partial class PriceFile
{
    /// <summary>A US dollar for one token.</summary>
    public const long MostPico = 1_000_000_000_000;
    public const long MostTokens = 1_000_000_000;
    public const int LongestPattern = 256;

    private const int MostPatterns = 200_000;
    private const string Unit = "pico-USD per token";
    private static readonly JsonSerializerOptions Text = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly string[] Rates = ["input", "output", "cached", "cache_write"];

    /// <summary>How a provider may be called.</summary>
    public static bool IsProvider(string name) => ProviderShape().IsMatch(name);

    public static PriceTableOutcome Read(ReadOnlyMemory<byte> json, string name)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return new PriceTableOutcome.Parsed(ReadTable(document.RootElement, json, name));
        }
        catch (JsonException e)
        {
            return new PriceTableOutcome.Refused($"{name}: no JSON: {ProviderText.Quote(e.Message, 200)}");
        }
        catch (InvalidPriceException e)
        {
            return new PriceTableOutcome.Refused($"{name}: {e.Message}");
        }
    }

    /// <summary>The bytes of a table, the same for the same prices.</summary>
    public static byte[] Write(string source, DateOnly date, IEnumerable<(string Provider, IReadOnlyList<string> Match, ModelPrice Price)> lines)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{{\"source\": {Quoted(source)}, \"date\": \"{date:yyyy-MM-dd}\", \"unit\": \"{Unit}\",\n\"providers\": {{");
        var separator = "\n";
        foreach (var provider in lines.GroupBy(l => l.Provider, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            text.Append(separator).Append(Quoted(provider.Key)).Append(": [\n  ").AppendJoin(",\n  ", provider.Select(l => Line(l.Match, l.Price))).Append("\n]");
            separator = ",\n";
        }

        return Encoding.UTF8.GetBytes(text.Append("\n}}\n").ToString());
    }

    private static string Line(IReadOnlyList<string> match, ModelPrice price)
    {
        var over = price.Over is { } tier ? string.Create(CultureInfo.InvariantCulture, $", \"over\": {{\"tokens\": {tier.Tokens}, {Members(tier.Rates)}}}") : "";
        var context = price.Context is { } size ? string.Create(CultureInfo.InvariantCulture, $", \"context\": {size}") : "";
        return $"{{\"match\": [{string.Join(", ", match.Select(Quoted))}], {Members(price.Base)}{over}{context}}}";
    }

    private static string Members(TokenRates rates) => string.Create(CultureInfo.InvariantCulture,
        $"\"input\": {rates.Input}, \"output\": {rates.Output}{Optional("cached", rates.Cached)}{Optional("cache_write", rates.CacheWrite)}");

    private static string Optional(string name, long? value) => value is { } rate ? string.Create(CultureInfo.InvariantCulture, $", \"{name}\": {rate}") : "";

    private static string Quoted(string text) => JsonSerializer.Serialize(text, Text);

    private static PriceTable ReadTable(JsonElement root, ReadOnlyMemory<byte> json, string name)
    {
        var source = Member(root, "source", JsonValueKind.String, "the file").GetString()!;
        if (!DateOnly.TryParseExact(Member(root, "date", JsonValueKind.String, "the file").GetString(), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date))
            throw new InvalidPriceException("date: allowed is a day as 2026-08-21");
        if (root.TryGetProperty("unit", out var unit) && (unit.ValueKind != JsonValueKind.String || !unit.ValueEquals(Unit)))
            throw new InvalidPriceException($"unit: allowed is '{Unit}'");
        var origin = new PriceOrigin(name, Convert.ToHexStringLower(SHA256.HashData(json.Span)), ProviderText.Quote(source, 200), date);
        var providers = new Dictionary<string, (string, ModelPrice)[]>(StringComparer.OrdinalIgnoreCase);
        var patterns = 0;
        foreach (var provider in Member(root, "providers", JsonValueKind.Object, "the file").EnumerateObject())
        {
            var where = $"providers.{ProviderText.Quote(provider.Name, 64)}";
            if (!IsProvider(provider.Name))
                throw new InvalidPriceException($"{where}: a provider's name is 1 to 64 of letters, digits, '-', '_' and '.'");
            if (provider.Value.ValueKind != JsonValueKind.Array)
                throw new InvalidPriceException($"{where}: allowed is a list of prices");
            var entries = provider.Value.EnumerateArray().SelectMany((entry, at) => ReadEntry(entry, $"{where}[{at}]", origin)).ToArray();
            if ((patterns += entries.Length) > MostPatterns)
                throw new InvalidPriceException($"more than {MostPatterns} names: this is no price table");
            if (!providers.TryAdd(provider.Name, entries))
                throw new InvalidPriceException($"{where}: stands there twice");
        }

        return new PriceTable(origin, providers.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase));
    }

    private static (string, ModelPrice)[] ReadEntry(JsonElement entry, string where, PriceOrigin origin)
    {
        if (entry.ValueKind != JsonValueKind.Object)
            throw new InvalidPriceException($"{where}: allowed is an object with match, input and output");
        Known(entry, where, [.. Rates, "match", "over", "context"]);
        LongContext? over = null;
        if (entry.TryGetProperty("over", out var tier))
        {
            var inside = $"{where}.over";
            if (tier.ValueKind != JsonValueKind.Object)
                throw new InvalidPriceException($"{inside}: allowed is an object with tokens, input and output");
            Known(tier, inside, [.. Rates, "tokens"]);
            over = new LongContext(Whole(tier, "tokens", 1, MostTokens, inside) ?? throw Missing(inside, "tokens"), ReadRates(tier, inside));
        }

        var price = new ModelPrice(ReadRates(entry, where), over, Whole(entry, "context", 1, MostTokens, where)) { Origin = origin };
        var match = Member(entry, "match", JsonValueKind.Array, where).EnumerateArray().ToList();
        if (match.Count == 0 || match.Any(m => m.ValueKind != JsonValueKind.String || m.GetString() is not { Length: > 0 and <= LongestPattern }))
            throw new InvalidPriceException($"{where}.match: allowed are names and globs of 1 to {LongestPattern} characters");
        return [.. match.Select(m => (m.GetString()!, price))];
    }

    private static TokenRates ReadRates(JsonElement element, string where) => new(
        Rate(element, "input", where) ?? throw Missing(where, "input"),
        Rate(element, "output", where) ?? throw Missing(where, "output"),
        Rate(element, "cached", where),
        Rate(element, "cache_write", where));

    private static long? Rate(JsonElement element, string name, string where) => Whole(element, name, 0, MostPico, where);

    private static long? Whole(JsonElement element, string name, long least, long most, string where)
    {
        if (!element.TryGetProperty(name, out var value))
            return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= least && number <= most
            ? number
            : throw new InvalidPriceException($"{where}.{name}: allowed is a whole number from {least} to {most}");
    }

    private static void Known(JsonElement element, string where, string[] names)
    {
        foreach (var member in element.EnumerateObject().Where(m => !names.Contains(m.Name, StringComparer.Ordinal)))
            throw new InvalidPriceException($"{where}: unknown member '{ProviderText.Quote(member.Name, 64)}'; known are {string.Join(", ", names)}");
    }

    private static JsonElement Member(JsonElement element, string name, JsonValueKind kind, string where)
    {
        if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out var value))
            throw new InvalidPriceException($"{where} has no '{name}': this is no price table; make one with 'caisson prices import'");
        return value.ValueKind == kind ? value : throw new InvalidPriceException($"{where}: '{name}' must be {(kind == JsonValueKind.String ? "a text" : kind == JsonValueKind.Array ? "a list" : "an object")}");
    }

    private static InvalidPriceException Missing(string where, string name) => new($"{where} has no '{name}'");

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    private static partial Regex ProviderShape();

    /// <summary>Ends the reading of a file with what is wrong with it.</summary>
    private sealed class InvalidPriceException(string message) : Exception(message);
}
