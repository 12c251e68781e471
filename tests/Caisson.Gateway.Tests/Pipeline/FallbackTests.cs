using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Processes;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Tests.Harness;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Pipeline;

/// <summary>A provider that cannot answer, and others that stand in; all on loopback sockets.</summary>
public sealed class FallbackTests : IAsyncLifetime
{
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 8, 1, 12, 0, 0, TimeSpan.Zero));
    private int _status = 503;
    private UpstreamServer _ill = null!;
    private UpstreamServer _well = null!;
    private TestStepLog _log = null!;
    private ProviderOptions _first = null!;
    private ProviderOptions _second = null!;

    public async ValueTask InitializeAsync()
    {
        _ill = await UpstreamServer.StartAsync(http =>
        {
            http.Response.StatusCode = _status;
            http.Response.Headers["x-should-retry"] = "true";
            return _status == 200 ? http.Response.WriteAsync("{") : Task.CompletedTask;
        });
        _well = await UpstreamServer.StartAsync();
        _log = new TestStepLog(_clock);
        _first = new ProviderOptions { Name = "first", BaseUrl = _ill.Url + "/v1" };
        _first.Prices["m"] = new PriceOptions { Input = 1, Output = 10 };
        _first.Fallback.Add("second/*");
        _second = new ProviderOptions { Name = "second", BaseUrl = _well.Url + "/v1" };
        _second.Prices["m"] = new PriceOptions { Input = 3, Output = 20 };
    }

    public async ValueTask DisposeAsync()
    {
        await _ill.DisposeAsync();
        await _well.DisposeAsync();
    }

    [Fact]
    public async Task Another_provider_answers_under_the_same_hold_at_its_own_price_and_the_journal_says_so()
    {
        var answered = Assert.IsType<ModelOutcome.Answered>(await AskAsync());

        Assert.Equal("good day", answered.Answer.Text);
        Assert.Equal(["begin", .. Enumerable.Repeat("fail:Keep", _log.Failures.Count), "complete"], _log.Events);
        Assert.Equal(_log.Failures.Count, _ill.Requests.Count);
        Assert.Equal(TimeSpan.Zero, _log.Failures[^1].Wait);
        var usage = Assert.Single(_log.Completed).Usage;
        Assert.Equal((10 * 3_000 + 2 * 20_000, "second/m"), (usage.NanoUsd, usage.AnsweredBy));
        var hold = Assert.Single(_log.Holds)!;
        Assert.True(hold.NanoUsd >= hold.InputTokens * 3_000 + hold.OutputTokens * 20_000, $"{hold}");
        Assert.Equal((usage.Prices, _log.Failures.Count + 1), (hold.Prices, _log.Completed[0].Attempt));
    }

    [Fact]
    public async Task The_hold_is_the_dearests_where_the_cheap_one_stands_in()
    {
        _first.Prices["m"] = new PriceOptions { Input = 3, Output = 20 };
        _second.Prices["m"] = new PriceOptions { Input = 1, Output = 10 };

        Assert.IsType<ModelOutcome.Answered>(await AskAsync());

        var (hold, usage) = (Assert.Single(_log.Holds)!, Assert.Single(_log.Completed).Usage);
        Assert.Equal(hold.InputTokens * 3_000 + hold.OutputTokens * 20_000, hold.NanoUsd);
        Assert.Equal(10 * 1_000 + 2 * 10_000, usage.NanoUsd);
        Assert.NotEqual(hold.Prices, usage.Prices);
    }

    [Theory]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(529)]
    public async Task A_provider_is_given_up_after_a_few_attempts_or_a_short_time(int status)
    {
        _status = status;
        var began = _clock.GetUtcNow();

        Assert.IsType<ModelOutcome.Answered>(await AskAsync());

        Assert.InRange(_clock.GetUtcNow() - began, TimeSpan.Zero, _first.FallbackAfter);
        Assert.InRange(_ill.Requests.Count, 1, status == 500 ? 3 : 100);
    }

    [Fact]
    public async Task An_answer_that_may_have_been_billed_spends_its_hold_before_another_is_asked()
    {
        _status = 200;

        Assert.IsType<ModelOutcome.Answered>(await AskAsync());

        Assert.Equal(["begin", "fail:InDoubt", "begin", "fail:InDoubt", "begin", "fail:InDoubt", "begin", "complete"], _log.Events);
    }

    [Fact]
    public async Task A_provider_without_connection_is_stood_in_for()
    {
        await _ill.DisposeAsync();

        Assert.IsType<ModelOutcome.Answered>(await AskAsync());

        Assert.Equal("second/m", Assert.Single(_log.Completed).Usage.AnsweredBy);
    }

    [Fact]
    public async Task A_refusal_is_not_asked_elsewhere()
    {
        _status = 400;

        Assert.IsType<ModelOutcome.Failed>(await AskAsync());

        Assert.Empty(_well.Requests);
    }

    [Fact]
    public async Task When_nobody_can_answer_the_last_ones_failure_is_told()
    {
        await _well.DisposeAsync();

        var failure = Assert.IsType<ModelOutcome.Exhausted>(await AskAsync(new RetrySettings { Attempts = 4, Elapsed = TimeSpan.FromMinutes(2) })).Failure;

        Assert.Contains("provider second cannot be reached", failure.Message, StringComparison.Ordinal);
        Assert.Equal("fail:Release", _log.Events[^1]);
    }

    [Fact]
    public async Task A_provider_of_another_wire_or_without_price_or_key_does_not_stand_in()
    {
        var other = new ProviderOptions { Name = "other", BaseUrl = _well.Url + "/v1", Wire = "anthropic" };
        other.Prices["*"] = new PriceOptions();
        var keyless = new ProviderOptions { Name = "keyless", BaseUrl = _well.Url + "/v1", ApiKeyEnvironment = "CAISSON_TEST_NO_SUCH_KEY" };
        _first.Fallback.Clear();
        foreach (var model in new[] { "other/m", "second/unpriced", "keyless/m" })
            _first.Fallback.Add(model);

        Assert.IsType<ModelOutcome.Exhausted>(await AskAsync(new RetrySettings { Attempts = 2, Elapsed = TimeSpan.FromSeconds(20) }, other, keyless));

        Assert.Empty(_well.Requests);
        Assert.Contains("fallback 'nobody/m' names no configured provider", Assert.Single(ProviderOptions.UnknownFallbacks([new ProviderOptions { Name = "p", Fallback = { "nobody/m" } }])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_programs_call_is_answered_by_another_too()
    {
        using var pipeline = Pipeline();
        await using var door = await DoorRig.StartAsync(pipeline, _log);

        var response = await door.PostAsync("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":300}""");

        Assert.Equal(200, (int)response.StatusCode);
        Assert.Contains("good day", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        await door.SettledAsync();
        Assert.Equal("second/m", Assert.Single(_log.Completed).Usage.AnsweredBy);
        var body = JsonDocument.Parse(Assert.Single(_well.Requests).Body).RootElement;
        Assert.Equal(("m", 300), (body.GetProperty("model").GetString(), body.GetProperty("max_tokens").GetInt32()));
        var hold = Assert.Single(_log.Holds)!;
        Assert.Equal(hold.InputTokens * 3_000 + hold.OutputTokens * 20_000, hold.NanoUsd);
    }

    [Fact]
    public async Task What_a_client_has_seen_is_not_asked_elsewhere()
    {
        var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await _ill.DisposeAsync();
        _ill = await UpstreamServer.StartAsync(async http =>
        {
            http.Response.ContentType = "text/event-stream";
            while (!seen.Task.IsCompleted)
            {
                await http.Response.WriteAsync("data: {\"id\":\"a\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n");
                await http.Response.Body.FlushAsync();
                await Task.Yield();
            }

            http.Abort();
        });
        _first.BaseUrl = _ill.Url + "/v1";
        using var pipeline = Pipeline();
        await using var door = await DoorRig.StartAsync(pipeline, _log);

        using var response = await door.PostAsync("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}""");
        await using var stream = await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, await stream.ReadAsync(new byte[1], TestContext.Current.CancellationToken));
        seen.SetResult();
        await Assert.ThrowsAnyAsync<IOException>(() => stream.CopyToAsync(Stream.Null, TestContext.Current.CancellationToken).WaitAsync(TestStepLog.Patience));
        await door.SettledAsync();

        Assert.Empty(_well.Requests);
        Assert.Equal(["begin", "fail:InDoubt"], _log.Events);
    }

    private ModelCallPipeline Pipeline(params ProviderOptions[] more) => new([_first, _second, .. more], PriceTable.Embedded, _clock, new Random(7), NullLogger.Instance);

    private async Task<ModelOutcome> AskAsync(RetrySettings? retry = null, params ProviderOptions[] more)
    {
        using var pipeline = Pipeline(more);
        return await pipeline.CallAsync(Rig.Request(ModelMessage.User("hello")) with { Model = "first/m", Retry = retry ?? new RetrySettings() }, _log, CancellationToken.None).WaitAsync(TestStepLog.Patience);
    }
}
