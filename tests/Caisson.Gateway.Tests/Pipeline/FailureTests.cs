using System.Net;
using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Pipeline;

public sealed class FailureTests
{
    private static readonly ModelRequest Hello = Rig.Request(ModelMessage.User("hello"));

    [Fact]
    public async Task A_throttled_call_waits_as_asked_under_the_same_hold_and_uses_no_attempt()
    {
        await using var rig = await Rig.StartAsync("""
            turns:
              - say: at last
                fail: { status: 429, retry_after: 7, times: 3 }
            """);

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 1 } });

        Assert.IsType<ModelOutcome.Answered>(outcome);
        Assert.Equal(["begin", "fail:Keep", "fail:Keep", "fail:Keep", "complete"], rig.Log.Events);
        Assert.All(rig.Log.Failures, f => Assert.Equal(ErrorCodes.ProviderThrottled, f.Failure.Code));
        Assert.All(rig.Log.Failures, f => Assert.InRange(f.Wait!.Value, TimeSpan.FromSeconds(7), TimeSpan.FromSeconds(8)));
        Assert.Equal(4, rig.Log.Completed[0].Attempt);
        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task Server_errors_are_tried_again_under_the_same_hold()
    {
        await using var rig = await Rig.StartAsync("""
            turns:
              - say: at last
                fail: [{ status: 500, times: 2 }, { status: 503 }]
            """);

        Assert.IsType<ModelOutcome.Answered>(await rig.AskAsync());

        Assert.Equal(["begin", "fail:Keep", "fail:Keep", "fail:Keep", "complete"], rig.Log.Events);
        Assert.Equal([1, 2, 3], rig.Log.Failures.Select(f => f.Attempt));
        Assert.Equal(["1", "2", "3", "4"], rig.LogLines().Where(l => l.GetProperty("event").GetString() == "request").Select(l => l.GetProperty("attempt").GetString()));
        Assert.Contains("answered 500 InternalServerError: scripted failure", rig.Log.Failures[0].Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Attempts_run_out_and_the_last_failure_is_told()
    {
        await using var rig = await Rig.StartAsync("turns: [{ fail: { status: 502, message: bad gateway, times: forever } }]");

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 3 } });

        var failure = Assert.IsType<ModelOutcome.Exhausted>(outcome).Failure;
        Assert.Equal(ErrorCodes.RetryExhausted, failure.Code);
        Assert.Contains("gave up after 3 failed attempts", failure.Message, StringComparison.Ordinal);
        Assert.Contains("provider_failed: provider mock answered 502 BadGateway: bad gateway", failure.Message, StringComparison.Ordinal);
        Assert.Equal(["begin", "fail:Keep", "fail:Keep", "fail:Release"], rig.Log.Events);
        Assert.Null(rig.Log.Failures[^1].Wait);
    }

    [Fact]
    public async Task Throttling_for_ever_runs_out_of_time()
    {
        await using var rig = await Rig.StartAsync("turns: [{ fail: { status: 429, times: forever } }]");
        var began = rig.Clock.GetUtcNow();

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 1, Elapsed = TimeSpan.FromMinutes(2) } });

        Assert.IsType<ModelOutcome.Exhausted>(outcome);
        Assert.InRange(rig.Clock.GetUtcNow() - began, TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(2));
        Assert.True(rig.Log.Failures.Count > 5);
        Assert.Equal("fail:Release", rig.Log.Events[^1]);
    }

    [Theory]
    [InlineData("malformed: true", ErrorCodes.ProviderMalformed, "no JSON")]
    [InlineData("cut: true", ErrorCodes.ProviderFailed, "broke the connection before its answer was whole")]
    public async Task A_call_that_may_have_been_billed_spends_its_hold_and_reserves_anew(string fault, string code, string words)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: second time lucky, fail: {{ {fault} }} }}]");

        Assert.IsType<ModelOutcome.Answered>(await rig.AskAsync());

        Assert.Equal(["begin", "fail:InDoubt", "begin", "complete"], rig.Log.Events);
        Assert.Equal(code, rig.Log.Failures[0].Failure.Code);
        Assert.Contains(words, rig.Log.Failures[0].Failure.Message, StringComparison.Ordinal);
        Assert.Equal(rig.Log.Holds[0], rig.Log.Holds[1]);
    }

    [Fact]
    public async Task A_provider_that_hangs_is_left_after_the_time_limit_in_doubt()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: awake, fail: { hang: true } }]");

        var call = rig.AskAsync();
        await rig.RequestsAsync(1);
        rig.Clock.Advance(rig.Options.Timeout);

        Assert.IsType<ModelOutcome.Answered>(await call);
        Assert.Equal(["begin", "fail:InDoubt", "begin", "complete"], rig.Log.Events);
        Assert.Contains("gave no whole answer within 600 s", rig.Log.Failures[0].Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_budget_that_the_doubtful_call_used_up_ends_the_retries()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x, fail: { cut: true, times: forever } }]");
        rig.Log.DenyAfter = 2;

        var outcome = await rig.AskAsync();

        Assert.IsType<ModelOutcome.LimitReached>(outcome);
        Assert.Equal(["begin", "fail:InDoubt", "begin", "fail:InDoubt", "begin"], rig.Log.Events);
    }

    [Fact]
    public async Task A_provider_that_is_down_costs_nothing()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        // Bound and not listening: nobody else can take the port, and nobody answers on it.
        rig.Options.BaseUrl = $"http://{taken.LocalEndPoint}/v1";

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 1, Elapsed = TimeSpan.FromMinutes(2) } });

        Assert.Contains("provider_unreachable: provider mock cannot be reached at 127.0.0.1:", Assert.IsType<ModelOutcome.Exhausted>(outcome).Failure.Message, StringComparison.Ordinal);
        Assert.True(rig.Log.Failures.Count > 5, "an outage uses up time, not attempts");
        Assert.Equal(["begin", .. Enumerable.Repeat("fail:Keep", rig.Log.Failures.Count - 1), "fail:Release"], rig.Log.Events);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(403)]
    [InlineData(404)]
    [InlineData(422)]
    public async Task A_refusal_is_final_and_given_in_the_providers_words(int status)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ fail: {{ status: {status}, message: \"no\\nsuch\\u202ething\", times: forever }} }}]");

        var failure = Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync()).Failure;

        Assert.Equal(ErrorCodes.ProviderRejected, failure.Code);
        Assert.Equal(status is 403 or 404, failure.Retryable);
        Assert.EndsWith("no\\nsuch\\u202ething", failure.Message, StringComparison.Ordinal);
        Assert.Equal(["begin", "fail:Release"], rig.Log.Events);
    }

    [Theory]
    [InlineData("status: 401, message: 'Incorrect API key provided: KEY'")]
    [InlineData("status: 403, message: 'KEY KEY is not allowed; use KEY'")]
    [InlineData("status: 500, message: 'could not parse header KEY'")]
    [InlineData("malformed: '<html>your key is KEY</html>'")]
    [InlineData("malformed: '{\"error\":{\"message\":\"KEY\"}}'")]
    [InlineData("malformed: '{\"choices\":[{\"message\":{\"tool_calls\":[{\"type\":\"KEY\"}]}}]}'")]
    public async Task The_key_is_in_no_message_whatever_the_provider_sends_back(string fault)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ fail: {{ {fault.Replace("KEY", Rig.Key, StringComparison.Ordinal)}, times: forever }} }}]");
        var logger = new ListLogger();

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 2 } }, logger: logger);

        var failure = outcome is ModelOutcome.Failed failed ? failed.Failure : ((ModelOutcome.Exhausted)outcome).Failure;
        Assert.NotEmpty(logger.Lines);
        foreach (var text in rig.Log.Failures.Select(f => f.Failure.Message).Concat(logger.Lines).Append(failure.Message))
        {
            Assert.DoesNotContain(Rig.Key, text, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain(Rig.Key[..12], text, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task The_cut_of_a_long_message_leaves_no_half_of_a_key()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        for (var before = 200; before < 330; before += 7)
        {
            using var handler = Canned.Json(new string('x', before) + Rig.Key + new string('y', 500), HttpStatusCode.BadRequest);

            var message = Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync(Hello with { Identity = $"{before}" }, handler)).Failure.Message;

            Assert.DoesNotContain("sk-live", message, StringComparison.Ordinal);
            Assert.True(message.Length < 330);
        }
    }

    [Fact]
    public async Task A_key_that_is_named_but_not_set_is_told_before_anything_is_held()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        rig.Options.ApiKey = null;
        rig.Options.ApiKeyEnvironment = "CAISSON_TEST_NO_SUCH_KEY";

        var failure = Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync()).Failure;

        Assert.Equal(ErrorCodes.ConfigInvalid, failure.Code);
        Assert.Contains("CAISSON_TEST_NO_SUCH_KEY", failure.Message, StringComparison.Ordinal);
        Assert.Empty(rig.Log.Events);
    }

    [Fact]
    public async Task An_answer_without_end_is_left_at_the_bound()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        using var endless = new EndlessStream();
        using var handler = new Canned(() => new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(endless) });

        var outcome = await rig.AskAsync(Hello with { Retry = new RetrySettings { Attempts = 1 } }, handler);

        Assert.Contains("provider_malformed: provider mock answered 200 with what is no chat completion: more than 16 MiB", Assert.IsType<ModelOutcome.Exhausted>(outcome).Failure.Message, StringComparison.Ordinal);
        Assert.Equal("fail:InDoubt", rig.Log.Events[^1]);
        Assert.Equal((16L << 20) + 1, endless.Given);
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        using var handler = Canned.Json("", HttpStatusCode.TemporaryRedirect);

        Assert.Equal(ErrorCodes.ProviderRejected, Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync(handler: handler)).Failure.Code);
    }
}
