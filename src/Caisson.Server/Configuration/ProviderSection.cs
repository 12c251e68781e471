using System.Globalization;
using Caisson.Gateway.Providers;

namespace Caisson.Server.Configuration;

/// <summary>The sections <c>[providers.NAME]</c> and below.</summary>
internal static class ProviderSection
{
    internal const string Keys =
        "providers.NAME.base_url, .wire, .api_key_env, .api_key, .max_tokens_field, .max_output_tokens, .connect_timeout, .timeout, .prices_as, .fallback, .fallback_after, .max_concurrent, .requests_per_minute, " +
        "providers.NAME.azure.api_version, .deployment, providers.NAME.prices.MODEL.input, .output, .cached_input";

    /// <summary>What is wrong with the setting, or <c>null</c>.</summary>
    internal static string? Apply(string[] key, string text, ProviderOptions provider)
    {
        switch (key)
        {
            case ["base_url"]:
                provider.BaseUrl = text;
                return null;
            case ["api_key_env"]:
                provider.ApiKeyEnvironment = text;
                return null;
            case ["wire"]:
                provider.Wire = text;
                return null;
            case ["api_key"]:
                provider.ApiKey = text;
                return null;
            case ["max_tokens_field"]:
                provider.MaxTokensField = text;
                return null;
            case ["prices_as"]:
                provider.PricesAs = text;
                return null;
            case ["azure", "api_version"]:
                (provider.Azure ??= new AzureOptions()).ApiVersion = text;
                return null;
            case ["azure", "deployment"]:
                (provider.Azure ??= new AzureOptions()).Deployment = text;
                return null;
            case ["max_output_tokens"]:
                return ConfigReader.Whole(text, 1, 1_000_000, value => provider.MaxOutputTokens = value);
            case ["connect_timeout"]:
                return ConfigReader.Duration(text, TimeSpan.FromMinutes(5), value => provider.ConnectTimeout = value);
            case ["timeout"]:
                return ConfigReader.Duration(text, TimeSpan.FromHours(2), value => provider.Timeout = value);
            case ["fallback"]:
                provider.Fallback.Clear();
                foreach (var model in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                    provider.Fallback.Add(model);
                return null;
            case ["fallback_after"]:
                return ConfigReader.Duration(text, TimeSpan.FromHours(1), value => provider.FallbackAfter = value);
            case ["max_concurrent"]:
                return ConfigReader.Whole(text, 1, 100_000, value => provider.MaxConcurrent = value);
            case ["requests_per_minute"]:
                return ConfigReader.Whole(text, 1, 1_000_000, value => provider.RequestsPerMinute = value);
            case ["prices", var name, var rate and ("input" or "output" or "cached_input")]:
                if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var usd))
                    return $"found '{text}', allowed is an amount of US dollars per million tokens, as 0.25";
                if (!provider.Prices.TryGetValue(name, out var price))
                    provider.Prices[name] = price = new PriceOptions();
                (price.Input, price.Output, price.CachedInput) = rate switch
                {
                    "input" => (usd, price.Output, price.CachedInput),
                    "output" => (price.Input, usd, price.CachedInput),
                    _ => (price.Input, price.Output, usd),
                };
                return null;
            default:
                return $"unknown key; known are {Keys}";
        }
    }
}
