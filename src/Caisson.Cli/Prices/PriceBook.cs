using System.Globalization;
using System.Text.Json.Serialization;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Caisson.Server.Configuration;

namespace Caisson.Cli.Prices;

/// <summary>Prices as a server with this configuration would use them.</summary>
internal sealed class PriceBook(ServerOptions options)
{
    /// <summary>Those of the configuration first, then those of the tables.</summary>
    internal IEnumerable<PriceLine> All =>
        ConfiguredPrices.Of(options.Providers).Concat(options.Prices.All).Select(p => PriceLine.Of(p.Provider, p.Pattern, p.Price));

    /// <summary>A model at a configured provider, at one of the table, or, without a provider, at all of them.</summary>
    internal IReadOnlyList<PriceLine> Of(string model)
    {
        var providers = options.Providers.Select(p => p.Name).Concat(options.Prices.All.Select(p => p.Provider)).Distinct(StringComparer.OrdinalIgnoreCase).ToList();
        var named = providers.Find(p => model.StartsWith(p + "/", StringComparison.OrdinalIgnoreCase));
        var found = named is null
            ? providers.Select(p => (Provider: p, Model: model))
            : [(Provider: named, Model: model[(named.Length + 1)..])];
        return [.. found
            .Select(f => (f.Provider, f.Model, Price: ConfiguredPrices.Find(options.Providers, options.Prices, f.Provider, f.Model)))
            .Where(f => f.Price is not null)
            .Select(f => PriceLine.Of(f.Provider, f.Model, f.Price!))];
    }
}

/// <summary>One price, in integer pico-USD per token.</summary>
/// <param name="Model">A name or a glob.</param>
/// <param name="From">Who says so: a table, or a place in the configuration.</param>
/// <param name="Source">What the table was made of.</param>
/// <param name="Digest">As the journal has it for calls that were billed by it.</param>
internal sealed record PriceLine(
    string Provider, string Model, long Input, long Output, long? Cached, [property: JsonPropertyName("cache_write")] long? CacheWrite, PriceTier? Over, long? Context, string From, string? Date, string? Source, string Digest)
{
    internal static PriceLine Of(string provider, string model, ModelPrice price) => new(
        provider, model, price.Base.Input, price.Base.Output, price.Base.Cached, price.Base.CacheWrite,
        price.Over is { } over ? new PriceTier(over.Tokens, over.Rates.Input, over.Rates.Output, over.Rates.Cached, over.Rates.CacheWrite) : null,
        price.Context, price.Origin?.Name ?? "", price.Origin?.Date?.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), price.Origin?.Source, price.Origin?.Digest ?? "");
}

internal sealed record PriceTier(long Tokens, long Input, long Output, long? Cached, [property: JsonPropertyName("cache_write")] long? CacheWrite);

internal sealed record PriceListView(int Schema, IReadOnlyList<PriceLine> Items);

internal sealed record PriceImportView(int Schema, string File, string Digest, string Source, int Names, int Providers, [property: JsonPropertyName("skipped_in_all")] int SkippedInAll, IReadOnlyList<SkippedPriceView> Skipped);

internal sealed record SkippedPriceView(string Name, string Reason);
