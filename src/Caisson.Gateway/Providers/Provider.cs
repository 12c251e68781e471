using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Providers;

/// <summary>A configured provider, ready to be called. Its key stays in here and in the request's header.</summary>
internal sealed class Provider
{
    private readonly string? _keyVariable;
    private readonly PriceTable _table;
    private readonly string _pricesAs;
    private readonly (string Pattern, ModelPrice Price)[] _ownPrices;

    public Provider(ProviderOptions options, PriceTable table, Func<string, string?> environment)
    {
        Name = options.Name;
        Base = options.BaseUrl.TrimEnd('/');
        Endpoint = new Uri(Base + "/chat/completions");
        Family = options.Wire switch
        {
            "anthropic" => WireFamily.Anthropic,
            "gemini" => WireFamily.Gemini,
            _ => WireFamily.OpenAi,
        };
        _keyVariable = options.ApiKeyEnvironment;
        Key = options.ApiKey ?? (_keyVariable is null ? null : environment(_keyVariable)?.Trim());
        MaxTokensField = options.MaxTokensField ?? FieldFor(Endpoint.Host);
        MaxOutputTokens = options.MaxOutputTokens;
        ConnectTimeout = options.ConnectTimeout;
        Timeout = options.Timeout;
        _table = table;
        _pricesAs = options.PricesAs ?? options.Name;
        _ownPrices = options.Prices.Select(p => (p.Key, ToPrice(p.Value, Name, p.Key))).ToArray();
    }

    public string Name { get; }

    /// <summary>Address up to and with the version, without a slash.</summary>
    public string Base { get; }

    public Uri Endpoint { get; }

    /// <summary>The wires that it speaks.</summary>
    public WireFamily Family { get; }

    public string? Key { get; }

    public string MaxTokensField { get; }

    public int MaxOutputTokens { get; }

    public TimeSpan ConnectTimeout { get; }

    public TimeSpan Timeout { get; }

    /// <summary>A key that is named but not there is told at the call, not at start: a server may know providers that it has no key for.</summary>
    public Failure? KeyProblem => _keyVariable switch
    {
        null => null,
        _ when string.IsNullOrEmpty(Key) => new(ErrorCodes.ConfigInvalid, $"providers.{Name}: the environment variable {_keyVariable} (api_key_env) is not set"),
        _ when !ProviderOptions.IsHeaderSafe(Key) => new(ErrorCodes.ConfigInvalid, $"providers.{Name}: the value of {_keyVariable} (api_key_env) must be printable ASCII without spaces"),
        _ => null,
    };

    public ModelPrice? PriceOf(string model) => ModelPattern.Best(_ownPrices, model) ?? _table.Find(_pricesAs, model);

    private static string FieldFor(string host) =>
        host.EndsWith(".openai.com", StringComparison.OrdinalIgnoreCase) || host.EndsWith(".openai.azure.com", StringComparison.OrdinalIgnoreCase)
            ? "max_completion_tokens"
            : "max_tokens";

    internal static ModelPrice ToPrice(PriceOptions price, string provider, string pattern)
    {
        var where = $"providers.{provider}.prices.{ProviderText.Quote(pattern, 64)}";
        var rates = new TokenRates(Pico(price.Input), Pico(price.Output), price.CachedInput is { } cached ? Pico(cached) : null);
        var figures = string.Create(CultureInfo.InvariantCulture, $"{where} {rates.Input} {rates.Output} {rates.Cached}");
        return new ModelPrice(rates) { Origin = new PriceOrigin(where, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(figures)))) };
    }

    private static long Pico(decimal usdPerMillion) => (long)decimal.Ceiling(usdPerMillion * 1_000_000m);
}
