using Caisson.Contracts;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Tests.Providers;

public sealed class ProviderOptionsTests
{
    [Fact]
    public void A_plain_provider_is_valid() =>
        Assert.Empty(ProviderOptions.Validate([new ProviderOptions { Name = "ollama", BaseUrl = "http://127.0.0.1:11434/v1" }]));

    public static TheoryData<Action<ProviderOptions>, string> Mistakes => new()
    {
        { o => o.Name = "My Provider", "the name must be" },
        { o => o.BaseUrl = "api.openai.com", "base_url must be an absolute http or https address" },
        { o => o.BaseUrl = "file:///etc/passwd", "base_url must be an absolute http or https address" },
        { o => o.BaseUrl = "https://user:pass@x/v1", "base_url must have no user" },
        { o => o.BaseUrl = "https://x/v1?api-key=1", "base_url must have no user, query" },
        { o => { o.ApiKey = "a"; o.ApiKeyEnvironment = "B"; }, "not both" },
        { o => o.ApiKey = "sk-1\r\nX-Evil: 1", "api_key must be printable ASCII" },
        { o => o.ApiKeyEnvironment = "A=B", "api_key_env must be the name" },
        { o => o.MaxTokensField = "max", "max_tokens_field must be" },
        { o => o.MaxOutputTokens = 0, "max_output_tokens must be 1 to 1000000, not 0" },
        { o => o.Azure = new AzureOptions { ApiVersion = "latest" }, "azure.api_version must be v1, preview or a date" },
        { o => o.Azure = new AzureOptions { Deployment = "a/../b" }, "azure.deployment must be" },
        { o => { o.Azure = new AzureOptions(); o.Wire = "anthropic"; }, "azure speaks the wire openai" },
        { o => { o.Azure = new AzureOptions(); o.BaseUrl = "https://x.openai.azure.com/openai/v1"; }, "without /openai" },
        { o => o.Fallback.Add("gpt-5"), "fallback must be at most 8 names" },
        { o => o.FallbackAfter = TimeSpan.Zero, "fallback_after must be" },
        { o => o.MaxConcurrent = 0, "max_concurrent must be" },
        { o => o.RequestsPerMinute = -1, "requests_per_minute must be" },
        { o => o.Timeout = TimeSpan.Zero, "timeout must be" },
        { o => o.ConnectTimeout = TimeSpan.FromHours(1), "connect_timeout must be" },
        { o => o.Prices["m"] = new PriceOptions { Input = -1 }, "prices.m: a price is 0 to" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_told_in_one_line(Action<ProviderOptions> mistake, string words)
    {
        var options = new ProviderOptions { Name = "p", BaseUrl = "https://x/v1" };
        mistake(options);

        var failure = Assert.Single(ProviderOptions.Validate([options]));

        Assert.Equal(ErrorCodes.ConfigInvalid, failure.Code);
        Assert.Contains(words, failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
        Assert.DoesNotContain("sk-1", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("pass", failure.Message[failure.Message.IndexOf(':', StringComparison.Ordinal)..].Replace("passwd", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_stands_once()
    {
        var options = new ProviderOptions { Name = "p", BaseUrl = "https://x/v1" };

        Assert.Equal("providers.p: is configured twice", Assert.Single(ProviderOptions.Validate([options, options])).Message);
    }

    [Theory]
    [InlineData("https://api.openai.com/v1", null, "max_completion_tokens")]
    [InlineData("https://my-place.openai.azure.com/openai/v1/", null, "max_completion_tokens")]
    [InlineData("http://127.0.0.1:11434/v1", null, "max_tokens")]
    [InlineData("https://api.openai.com.evil.example/v1", null, "max_tokens")]
    [InlineData("http://vllm:8000/v1", "max_completion_tokens", "max_completion_tokens")]
    public void The_field_that_bounds_the_output_goes_by_the_address(string url, string? chosen, string expected)
    {
        var provider = new Provider(new ProviderOptions { Name = "p", BaseUrl = url, MaxTokensField = chosen }, PriceTable.Embedded, _ => null);

        Assert.Equal(expected, provider.MaxTokensField);
        Assert.EndsWith("/v1/chat/completions", provider.Endpoint.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Own_prices_go_before_the_tables_and_a_name_may_borrow_anothers()
    {
        var options = new ProviderOptions { Name = "work", BaseUrl = "https://x/v1", PricesAs = "openai" };
        options.Prices["gpt-4o"] = new PriceOptions { Input = 0.0000001m, Output = 1 };
        var provider = new Provider(options, PriceTable.Embedded, _ => null);

        Assert.Equal(new TokenRates(1, 1_000_000), provider.PriceOf("gpt-4o")!.Base);
        Assert.Equal(150_000, provider.PriceOf("gpt-4o-mini")!.Base.Input);
    }

    [Fact]
    public void The_key_comes_from_the_environment_and_is_checked()
    {
        var options = new ProviderOptions { Name = "p", BaseUrl = "https://x/v1", ApiKeyEnvironment = "KEY" };

        Assert.Equal("abc", new Provider(options, PriceTable.Embedded, name => name == "KEY" ? "abc\n" : null).Key);
        Assert.Contains("KEY (api_key_env) is not set", new Provider(options, PriceTable.Embedded, _ => "").KeyProblem!.Message, StringComparison.Ordinal);
        var bad = new Provider(options, PriceTable.Embedded, _ => "se cret").KeyProblem!.Message;
        Assert.Contains("printable ASCII", bad, StringComparison.Ordinal);
        Assert.DoesNotContain("cret", bad, StringComparison.Ordinal);
    }
}
