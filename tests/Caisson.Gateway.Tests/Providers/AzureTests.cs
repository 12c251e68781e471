using System.Text.Json;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Tests.Harness;
using Caisson.Gateway.Tests.Wires;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Providers;

/// <summary>What leaves for endpoints that are no OpenAI, on a real socket.</summary>
public sealed class AzureTests
{
    [Theory]
    [InlineData("2024-10-21", null, "/openai/deployments/gpt-5-mini/chat/completions", "?api-version=2024-10-21", "gpt-5-mini")]
    [InlineData("2025-04-01-preview", "team.mini", "/openai/deployments/team.mini/chat/completions", "?api-version=2025-04-01-preview", "team.mini")]
    [InlineData("v1", null, "/openai/v1/chat/completions", "", "gpt-5-mini")]
    [InlineData("preview", "team", "/openai/v1/chat/completions", "?api-version=preview", "team")]
    public async Task Azure_gets_its_key_its_path_and_its_deployment(string version, string? deployment, string path, string query, string model)
    {
        await using var server = await UpstreamServer.StartAsync();
        var options = new ProviderOptions { Name = "azure", BaseUrl = server.Url + "/", ApiKey = Rig.Key, PricesAs = "openai", Azure = new AzureOptions { ApiVersion = version, Deployment = deployment } };

        var seen = await AskAsync(server, options, "azure/gpt-5-mini");

        Assert.Equal(("POST", path, query), (seen.Method, seen.Path, seen.Query));
        Assert.Equal(Rig.Key, seen.Headers["api-key"]);
        Assert.DoesNotContain("Authorization", seen.Headers.Keys);
        var body = JsonDocument.Parse(seen.Body).RootElement;
        Assert.Equal(model, body.GetProperty("model").GetString());
        Assert.True(body.TryGetProperty("max_completion_tokens", out _));
    }

    [Theory]
    [InlineData("http://H/v1", "/v1/chat/completions")]
    [InlineData("http://H/openai/v1/", "/openai/v1/chat/completions")]
    public async Task An_endpoint_without_key_gets_none(string url, string path)
    {
        await using var server = await UpstreamServer.StartAsync();
        var options = new ProviderOptions { Name = "local", BaseUrl = url.Replace("http://H", server.Url, StringComparison.Ordinal) };
        options.Prices["*"] = new PriceOptions();

        var seen = await AskAsync(server, options, "local/qwen3:8b");

        Assert.Equal((path, ""), (seen.Path, seen.Query));
        Assert.Empty(seen.Headers.Keys.Intersect(["Authorization", "api-key", "x-api-key", "x-goog-api-key"], StringComparer.OrdinalIgnoreCase));
        var body = JsonDocument.Parse(seen.Body).RootElement;
        Assert.Equal("qwen3:8b", body.GetProperty("model").GetString());
        Assert.True(body.TryGetProperty("max_tokens", out _) && !body.TryGetProperty("max_completion_tokens", out _));
    }

    [Theory]
    [InlineData("2024-10-21", "/v1/chat/completions", """{"model":"gpt-5-mini","messages":[{"role":"user","content":"hi"}]}""", "/openai/deployments/team/chat/completions?api-version=2024-10-21")]
    [InlineData("2024-10-21", "/v1/embeddings", """{"model":"m","input":"hi"}""", "/openai/deployments/team/embeddings?api-version=2024-10-21")]
    [InlineData("2025-04-01-preview", "/v1/responses", """{"model":"gpt-5-mini","input":"hi"}""", "/openai/responses?api-version=2025-04-01-preview")]
    [InlineData("v1", "/v1/responses", """{"model":"gpt-5-mini","input":"hi"}""", "/openai/v1/responses")]
    public void A_programs_call_gets_them_too(string version, string route, string body, string path)
    {
        var provider = new Provider(new ProviderOptions { Name = "azure", BaseUrl = "https://x.openai.azure.com", Azure = new AzureOptions { ApiVersion = version, Deployment = "team" } }, PriceTable.Embedded, _ => null);

        var (sent, content) = provider.Write(WireRig.Call(route, body), "gpt-5-mini", 100);

        Assert.Equal(path, sent);
        var root = JsonDocument.Parse(content).RootElement;
        Assert.Equal("team", root.GetProperty("model").GetString());
        Assert.Equal(route == "/v1/chat/completions", root.TryGetProperty("max_completion_tokens", out _));
    }

    private static async Task<Seen> AskAsync(UpstreamServer server, ProviderOptions options, string model)
    {
        Assert.Empty(ProviderOptions.Validate([options]));
        var clock = new FakeTimeProvider();
        using var pipeline = new ModelCallPipeline([options], PriceTable.Embedded, clock, new Random(7), NullLogger.Instance);
        var outcome = await pipeline.CallAsync(Rig.Request(ModelMessage.User("hello")) with { Model = model }, new TestStepLog(clock), TestContext.Current.CancellationToken).WaitAsync(TestStepLog.Patience);
        Assert.IsType<ModelOutcome.Answered>(outcome);
        return Assert.Single(server.Requests);
    }
}
