using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;
using Caisson.Gateway.Wires.Chat;

namespace Caisson.Gateway.Providers;

/// <summary>A configured provider, ready to be called. Its key stays in here and in the request's header.</summary>
internal sealed class Provider
{
    private readonly string? _keyVariable;
    private readonly string? _maxTokensField;
    private readonly AzureOptions? _azure;
    private readonly PriceTable _table;
    private readonly string _pricesAs;
    private readonly (string Pattern, ModelPrice Price)[] _ownPrices;

    public Provider(ProviderOptions options, PriceTable table, Func<string, string?> environment)
    {
        Name = options.Name;
        Base = options.BaseUrl.TrimEnd('/');
        _azure = options.Azure;
        Endpoint = new Uri(Base + PathOf("", "/chat/completions"));
        Family = options.Wire switch
        {
            "anthropic" => WireFamily.Anthropic,
            "gemini" => WireFamily.Gemini,
            _ => WireFamily.OpenAi,
        };
        _keyVariable = options.ApiKeyEnvironment;
        Key = options.ApiKey ?? (_keyVariable is null ? null : environment(_keyVariable)?.Trim());
        _maxTokensField = options.MaxTokensField ?? (_azure is null ? null : "max_completion_tokens");
        MaxTokensField = _maxTokensField ?? FieldFor(Endpoint.Host);
        MaxOutputTokens = options.MaxOutputTokens;
        ConnectTimeout = options.ConnectTimeout;
        Timeout = options.Timeout;
        Fallback = [.. options.Fallback];
        FallbackAfter = options.FallbackAfter;
        (MaxConcurrent, RequestsPerMinute) = (options.MaxConcurrent, options.RequestsPerMinute);
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

    /// <summary>What stands in for this provider's models.</summary>
    public IReadOnlyList<string> Fallback { get; }

    /// <summary>How long it is tried where something stands in.</summary>
    public TimeSpan FallbackAfter { get; }

    public int? MaxConcurrent { get; }

    public int? RequestsPerMinute { get; }

    /// <summary>A key that is named but not there is told at the call, not at start: a server may know providers that it has no key for.</summary>
    public Failure? KeyProblem => _keyVariable switch
    {
        null => null,
        _ when string.IsNullOrEmpty(Key) => new(ErrorCodes.ConfigInvalid, $"providers.{Name}: the environment variable {_keyVariable} (api_key_env) is not set"),
        _ when !ProviderOptions.IsHeaderSafe(Key) => new(ErrorCodes.ConfigInvalid, $"providers.{Name}: the value of {_keyVariable} (api_key_env) must be printable ASCII without spaces"),
        _ => null,
    };

    /// <summary>In which header the key goes.</summary>
    public bool IsAzure => _azure is not null;

    /// <summary>What the provider calls a model: on Azure, the deployment.</summary>
    public string NameOf(string model) => _azure?.Deployment ?? model;

    /// <summary>The path of a call of this model, below <see cref="Base"/>.</summary>
    /// <param name="path">As the wire has it, below the version.</param>
    public string PathOf(string model, string path) => _azure?.PathOf(NameOf(model), path) ?? path;

    /// <summary>A program's call as this provider gets it.</summary>
    public (string Path, ReadOnlyMemory<byte> Body) Write(WireCall call, string model, int maxOutput)
    {
        var asked = call is ChatCall chat && _maxTokensField is not null ? chat with { MaxTokensField = _maxTokensField } : call;
        var (path, body) = asked.For(NameOf(model), maxOutput);
        return (PathOf(model, path), body);
    }

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
