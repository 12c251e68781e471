using System.Text.RegularExpressions;
using Caisson.Contracts;

namespace Caisson.Gateway.Providers;

/// <summary>A model provider: an endpoint that speaks the OpenAI chat wire. docs/providers.md shows how to set one up.</summary>
public sealed partial class ProviderOptions
{
    /// <summary>The part before the slash in a manifest's <c>model: NAME/MODEL</c>.</summary>
    public string Name { get; set; } = "";

    /// <summary>Address up to and with the version, such as <c>https://api.openai.com/v1</c>; <c>/chat/completions</c> is appended.</summary>
    public string BaseUrl { get; set; } = "";

    /// <summary><c>openai</c> (chat completions, responses, embeddings), <c>anthropic</c> or <c>gemini</c>. Default <c>openai</c>. Loop agents speak <c>openai</c> only.</summary>
    public string? Wire { get; set; }

    /// <summary>Set where the endpoint is Azure OpenAI; <see cref="BaseUrl"/> is then the resource's address, without version. Default: it is not.</summary>
    public AzureOptions? Azure { get; set; }

    /// <summary>Name of the environment variable that holds the key. Preferred: the key is then in no file.</summary>
    public string? ApiKeyEnvironment { get; set; }

    /// <summary>The key itself. Neither this nor <see cref="ApiKeyEnvironment"/>: requests carry no key.</summary>
    public string? ApiKey { get; set; }

    /// <summary>
    /// The field that bounds the output: <c>max_tokens</c> or <c>max_completion_tokens</c>. Default: by the address,
    /// <c>max_completion_tokens</c> for OpenAI and Azure, whose newer models refuse the old field, and <c>max_tokens</c>
    /// for all others, because some of them ignore the new one, and an ignored bound is an unbounded bill.
    /// </summary>
    public string? MaxTokensField { get; set; }

    /// <summary>Most tokens that one answer may have. Default 16384. Lower it for models whose own bound is lower and that refuse more.</summary>
    public int MaxOutputTokens { get; set; } = 16_384;

    /// <summary>Time to connect. Default 10 s.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Time for a whole call, answer read. Default 10 minutes. A call that takes longer may have been billed and counts as spent.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Models of other providers, or of this one, that are asked where this one cannot answer (429, 5xx, no connection), in
    /// order: <c>PROVIDER/MODEL</c>, or <c>PROVIDER/*</c> for the same name. Of the same wire, at most 8. Default: none.
    /// </summary>
    public IList<string> Fallback { get; } = [];

    /// <summary>After so long, or three failures that count, the first of <see cref="Fallback"/> is asked. Default 30 s.</summary>
    public TimeSpan FallbackAfter { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Calls under way at once, of all runs; others wait their turn. Default: as many as come.</summary>
    public int? MaxConcurrent { get; set; }

    /// <summary>Calls begun in a minute, of all runs, evenly spaced; others wait their turn. Default: as many as come.</summary>
    public int? RequestsPerMinute { get; set; }

    /// <summary>The provider of the price table whose prices hold here. Default: <see cref="Name"/>.</summary>
    public string? PricesAs { get; set; }

    /// <summary>Prices that go before the table's, by model name or glob (<c>llama-*</c>, <c>*</c>).</summary>
    public IDictionary<string, PriceOptions> Prices { get; } = new Dictionary<string, PriceOptions>(StringComparer.Ordinal);

    /// <summary>What is wrong with these providers, one line each. Empty is good.</summary>
    public static IReadOnlyList<Failure> Validate(IReadOnlyList<ProviderOptions> providers)
    {
        ArgumentNullException.ThrowIfNull(providers);
        var failures = providers.SelectMany(p => p.Problems().Select(problem => Invalid(p.Name, problem))).ToList();
        failures.AddRange(providers.GroupBy(p => p.Name, StringComparer.Ordinal).Where(g => g.Count() > 1)
            .Select(g => Invalid(g.Key, "is configured twice")));
        return failures;
    }

    /// <summary>Fallbacks that name a provider which is not configured, one line each. Empty is good.</summary>
    public static IReadOnlyList<Failure> UnknownFallbacks(IReadOnlyList<ProviderOptions> providers)
    {
        ArgumentNullException.ThrowIfNull(providers);
        return [.. providers.SelectMany(p => p.Fallback
            .Where(model => FallbackShape().IsMatch(model) && !providers.Any(other => model.StartsWith(other.Name + "/", StringComparison.Ordinal)))
            .Select(model => Invalid(p.Name, $"fallback '{ProviderText.Quote(model, 128)}' names no configured provider")))];
    }

    internal const int MaxKeyLength = 2048;
    private const int MostFallbacks = 8;

    internal static bool IsHeaderSafe(string key) => key.Length is > 0 and <= MaxKeyLength && key.All(c => c is > ' ' and < '\x7f');

    private static Failure Invalid(string name, string problem) =>
        new(ErrorCodes.ConfigInvalid, $"providers.{ProviderText.Quote(name, 64)}: {problem}");

    private IEnumerable<string> Problems()
    {
        if (!NameShape().IsMatch(Name))
            yield return "the name must be 1 to 64 of a-z, 0-9, '-' and '_', and begin with a letter or digit";
        // The address is not repeated in full: people put keys into it.
        if (!Uri.TryCreate(BaseUrl, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            yield return "base_url must be an absolute http or https address, such as https://api.openai.com/v1";
        else if (url.UserInfo.Length > 0 || url.Query.Length > 0 || url.Fragment.Length > 0)
            yield return "base_url must have no user, query or fragment; a key goes into api_key_env";
        if (Wire is not (null or "openai" or "anthropic" or "gemini"))
            yield return $"wire must be openai, anthropic or gemini, not '{ProviderText.Quote(Wire, 64)}'";
        foreach (var problem in Azure?.Problems(this) ?? [])
            yield return problem;
        if (ApiKey is not null && ApiKeyEnvironment is not null)
            yield return "set api_key_env or api_key, not both";
        if (ApiKey is not null && !IsHeaderSafe(ApiKey))
            yield return "api_key must be printable ASCII without spaces, at most 2048 characters";
        if (ApiKeyEnvironment is "" || ApiKeyEnvironment?.Contains('=', StringComparison.Ordinal) == true)
            yield return "api_key_env must be the name of an environment variable";
        if (MaxTokensField is not (null or "max_tokens" or "max_completion_tokens"))
            yield return "max_tokens_field must be max_tokens or max_completion_tokens";
        if (MaxOutputTokens is < 1 or > 1_000_000)
            yield return $"max_output_tokens must be 1 to 1000000, not {MaxOutputTokens}";
        if (ConnectTimeout <= TimeSpan.Zero || ConnectTimeout > TimeSpan.FromMinutes(5))
            yield return "connect_timeout must be more than 0 and at most 5 minutes";
        if (Timeout <= TimeSpan.Zero || Timeout > TimeSpan.FromHours(2))
            yield return "timeout must be more than 0 and at most 2 hours";
        if (Fallback.Count > MostFallbacks || Fallback.Any(model => !FallbackShape().IsMatch(model)))
            yield return $"fallback must be at most {MostFallbacks} names PROVIDER/MODEL or PROVIDER/*, separated by commas";
        if (FallbackAfter <= TimeSpan.Zero || FallbackAfter > TimeSpan.FromHours(1))
            yield return "fallback_after must be more than 0 and at most 1 hour";
        if (MaxConcurrent is < 1 or > 100_000)
            yield return $"max_concurrent must be 1 to 100000, not {MaxConcurrent}";
        if (RequestsPerMinute is < 1 or > 1_000_000)
            yield return $"requests_per_minute must be 1 to 1000000, not {RequestsPerMinute}";
        foreach (var (model, price) in Prices)
        {
            if (new[] { price.Input, price.Output, price.CachedInput ?? 0 }.Any(p => p is < 0 or > 1_000_000))
                yield return $"prices.{ProviderText.Quote(model, 64)}: a price is 0 to 1000000 USD per million tokens";
        }
    }

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9_-]{0,63}\z")]
    private static partial Regex NameShape();

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9_-]{0,63}/[^\s,]{1,256}\z")]
    private static partial Regex FallbackShape();
}

/// <summary>US dollars per million tokens. Both 0: the model is free.</summary>
public sealed class PriceOptions
{
    public decimal Input { get; set; }

    public decimal Output { get; set; }

    /// <summary>Input that the provider had cached. Default: the same as other input.</summary>
    public decimal? CachedInput { get; set; }
}
