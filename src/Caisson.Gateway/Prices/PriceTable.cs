using System.Collections.Frozen;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace Caisson.Gateway.Prices;

/// <summary>What a token of each known model costs. The file is our own: facts, no logic; see Prices/NOTICE.txt for their source.</summary>
public sealed class PriceTable
{
    private static readonly Lazy<PriceTable> Shipped = new(ReadShipped);

    private readonly FrozenDictionary<string, (string Pattern, ModelPrice Price)[]> _providers;

    private PriceTable(string digest, DateOnly date, FrozenDictionary<string, (string, ModelPrice)[]> providers)
    {
        Digest = digest;
        Date = date;
        _providers = providers;
    }

    /// <summary>The table that ships with this build.</summary>
    public static PriceTable Embedded => Shipped.Value;

    /// <summary>SHA-256 of the table's bytes, in hex: which prices a bill was made with.</summary>
    public string Digest { get; }

    /// <summary>The day on which the facts were collected.</summary>
    public DateOnly Date { get; }

    internal IEnumerable<(string Provider, string Pattern, ModelPrice Price)> All =>
        _providers.SelectMany(p => p.Value.Select(e => (p.Key, e.Pattern, e.Price)));

    internal ModelPrice? Find(string provider, string model) =>
        _providers.TryGetValue(provider, out var entries) ? ModelPattern.Best(entries, model) : null;

    internal static PriceTable Parse(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        var providers = root.GetProperty("providers").EnumerateObject().ToFrozenDictionary(
            provider => provider.Name,
            provider => provider.Value.EnumerateArray().SelectMany(ReadEntry).ToArray(),
            StringComparer.OrdinalIgnoreCase);
        var date = DateOnly.ParseExact(root.GetProperty("date").GetString()!, "yyyy-MM-dd", CultureInfo.InvariantCulture);
        return new PriceTable(Convert.ToHexStringLower(SHA256.HashData(json.Span)), date, providers);
    }

    private static IEnumerable<(string, ModelPrice)> ReadEntry(JsonElement entry)
    {
        var over = entry.TryGetProperty("over", out var tier)
            ? new LongContext(tier.GetProperty("tokens").GetInt64(), ReadRates(tier))
            : null;
        var price = new ModelPrice(ReadRates(entry), over, Optional(entry, "context"));
        return entry.GetProperty("match").EnumerateArray().Select(pattern => (pattern.GetString()!, price)).ToArray();
    }

    private static TokenRates ReadRates(JsonElement element) => new(
        element.GetProperty("input").GetInt64(),
        element.GetProperty("output").GetInt64(),
        Optional(element, "cached"),
        Optional(element, "cache_write"));

    private static long? Optional(JsonElement element, string name) =>
        element.TryGetProperty(name, out var value) ? value.GetInt64() : null;

    private static PriceTable ReadShipped()
    {
        using var stream = typeof(PriceTable).Assembly.GetManifestResourceStream("model-prices.json")!;
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return Parse(bytes.ToArray());
    }
}
