using System.Text.Json;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Prices.Import;

/// <summary>The lines of a table that is being made, and what did not get into it.</summary>
internal sealed class PriceDraft
{
    private readonly List<(string Provider, List<string> Match, ModelPrice Price)> _lines = [];
    private readonly Dictionary<(string Provider, string Pattern), ModelPrice> _known = [];
    private readonly List<SkippedPrice> _skipped = [];

    public IReadOnlyList<(string Provider, IReadOnlyList<string> Match, ModelPrice Price)> Lines =>
        [.. _lines.Where(l => l.Match.Count > 0).Select(l => (l.Provider, (IReadOnlyList<string>)l.Match, l.Price))];

    public IReadOnlyList<SkippedPrice> Skipped => _skipped;

    public int SkippedInAll { get; private set; }

    public void Skip(string name, string reason)
    {
        SkippedInAll++;
        if (_skipped.Count < PriceImport.MostSkipped)
            _skipped.Add(new SkippedPrice(ProviderText.Quote(name, 128), ProviderText.Quote(reason, 200)));
    }

    /// <summary>Takes a price, or says why not. Of two prices of one name the dearer stays.</summary>
    public void Add(string provider, string name, IEnumerable<string> patterns, ModelPrice price)
    {
        var shown = $"{provider}/{name}";
        if (!PriceFile.IsProvider(provider))
        {
            Skip(shown, "a provider's name is 1 to 64 of letters, digits, '-', '_' and '.'");
            return;
        }

        var match = new List<string>();
        foreach (var pattern in patterns.Select(p => p.ToLowerInvariant()).Distinct(StringComparer.Ordinal))
        {
            if (pattern.Length is 0 or > PriceFile.LongestPattern || pattern.All(c => c is '*' or '?'))
                Skip(shown, $"a name or glob has 1 to {PriceFile.LongestPattern} characters, and not only wild ones");
            else if (!_known.TryGetValue((provider, pattern), out var before))
                match.Add(pattern);
            else if (before != price)
            {
                Skip(shown, $"{pattern} has two prices in this list; the dearer one stays");
                if (price.UpperBound(1_000_000, 1_000_000) <= before.UpperBound(1_000_000, 1_000_000))
                    continue;
                _lines.Find(l => l.Provider == provider && l.Match.Contains(pattern)).Match.Remove(pattern);
                match.Add(pattern);
            }
        }

        foreach (var pattern in match)
            _known[(provider, pattern)] = price;
        _lines.Add((provider, match, price));
    }

    /// <summary>Pico-USD per token of a number of US dollars per so many tokens; <c>null</c> for what is no price.</summary>
    public static long? Pico(JsonElement usd, long perTokens) =>
        usd.ValueKind == JsonValueKind.Number && usd.TryGetDecimal(out var value) && value >= 0 && value <= perTokens
            ? (long)decimal.Ceiling(value * (1_000_000_000_000m / perTokens))
            : null;
}
