using Caisson.Gateway.Prices;

namespace Caisson.Gateway.Providers;

/// <summary>What models cost at configured providers, without calling any.</summary>
public static class ConfiguredPrices
{
    /// <summary>The prices that the configuration itself has.</summary>
    public static IEnumerable<(string Provider, string Pattern, ModelPrice Price)> Of(IReadOnlyList<ProviderOptions> providers) =>
        providers.SelectMany(p => p.Prices.Select(price => (p.Name, price.Key, Provider.ToPrice(price.Value, p.Name, price.Key))));

    /// <summary>The price in force: the provider's own, else that of the table under the name that it goes by there.</summary>
    /// <param name="provider">Configured, or only known to the table.</param>
    public static ModelPrice? Find(IReadOnlyList<ProviderOptions> providers, PriceTable table, string provider, string model) =>
        providers.FirstOrDefault(p => p.Name == provider) is { } options
            ? new Provider(options, table, _ => null).PriceOf(model)
            : table.Find(provider, model);
}
