using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Pipeline;

public sealed class CallTests
{
    private const string Hello = """
        model: m
        turns:
          - say: good day
            usage: { input: 100, output: 20 }
        """;

    [Fact]
    public async Task A_call_reserves_before_it_sends_and_settles_with_what_was_used()
    {
        await using var rig = await Rig.StartAsync(Hello);

        var outcome = await rig.AskAsync();

        var answered = Assert.IsType<ModelOutcome.Answered>(outcome);
        Assert.False(answered.Recorded);
        Assert.Equal("good day", answered.Answer.Text);
        Assert.Equal("stop", answered.Answer.FinishReason);
        Assert.Equal(["begin", "complete"], rig.Log.Events);
        var usage = Assert.Single(rig.Log.Completed).Usage;
        var digest = ConfiguredPrices.Find([rig.Options], PriceTable.Embedded, "mock", "m")!.Origin!.Digest;
        Assert.Equal(new Usage(100 * 1_000 + 20 * 10_000, 100, 20) { Prices = digest }, usage);
        var hold = Assert.Single(rig.Log.Holds)!;
        Assert.True(hold.NanoUsd >= usage.NanoUsd && hold.NanoUsd >= 16_384 * 10_000L, $"hold {hold}");
        Assert.Equal(digest, hold.Prices);
    }

    [Fact]
    public async Task A_recorded_answer_sends_nothing_and_reserves_nothing()
    {
        await using var rig = await Rig.StartAsync(Hello);
        var first = (ModelOutcome.Answered)await rig.AskAsync();
        rig.Log = rig.Log.Reopened();

        var again = (ModelOutcome.Answered)await rig.AskAsync();

        Assert.True(again.Recorded);
        Assert.Equal(first.Key, again.Key);
        Assert.Equivalent(first.Answer, again.Answer, strict: true);
        Assert.Empty(rig.Log.Events);
        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task A_recorded_answer_needs_no_provider()
    {
        await using var rig = await Rig.StartAsync(Hello);
        await rig.AskAsync();
        rig.Log = rig.Log.Reopened();
        rig.Options.Name = "renamed";

        Assert.True(((ModelOutcome.Answered)await rig.AskAsync()).Recorded);
    }

    [Fact]
    public async Task A_recorded_failure_is_answered_as_a_failure()
    {
        await using var rig = await Rig.StartAsync(Hello);
        await rig.AskAsync();
        rig.Log = rig.Log.Reopened();
        var (key, record) = rig.Log.Records.Single();
        rig.Log.Records[key] = record with { Failure = new Failure(ErrorCodes.ProviderRejected, "no") };

        Assert.Equal("no", Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync()).Failure.Message);
    }

    [Fact]
    public async Task A_record_that_is_no_answer_is_drift()
    {
        await using var rig = await Rig.StartAsync(Hello);
        await rig.AskAsync();
        rig.Log = rig.Log.Reopened();
        var (key, record) = rig.Log.Records.Single();
        rig.Log.Records[key] = record with { Result = "[1]"u8.ToArray() };

        Assert.IsType<ModelOutcome.Drifted>(await rig.AskAsync());
    }

    [Fact]
    public async Task Drift_is_passed_on_and_nothing_is_sent()
    {
        await using var rig = await Rig.StartAsync(Hello);
        rig.Log.Drift = new DriftReport(7, "a", "b");

        Assert.Equal(rig.Log.Drift, Assert.IsType<ModelOutcome.Drifted>(await rig.AskAsync()).Report);
        Assert.Equal(0, rig.Server.Requests);
    }

    [Fact]
    public async Task A_denied_call_is_never_sent()
    {
        await using var rig = await Rig.StartAsync(Hello);
        rig.Log.Denial = new LimitDenial("run", LimitDimension.NanoUsd, 1, 0, 0, 2);

        Assert.Equal(rig.Log.Denial, Assert.IsType<ModelOutcome.LimitReached>(await rig.AskAsync()).Denial);
        Assert.Equal(["begin"], rig.Log.Events);
        Assert.Equal(0, rig.Server.Requests);
    }

    [Fact]
    public async Task Bytes_wait_until_the_node_may_send()
    {
        await using var rig = await Rig.StartAsync(Hello);
        rig.Log.MaySend = false;
        var connections = 0;
        using var handler = new BeforeSend(() => connections++);

        var call = rig.AskAsync(handler: handler);
        await rig.Log.AskedInVain;
        Assert.False(call.IsCompleted);
        Assert.Equal((0, 0), (connections, rig.Server.Requests));
        await rig.Log.AllowAsync();

        Assert.IsType<ModelOutcome.Answered>(await call);
    }

    [Fact]
    public async Task A_run_that_stops_before_it_may_send_gets_its_hold_back()
    {
        await using var rig = await Rig.StartAsync(Hello);
        using var halting = new CancellationTokenSource();
        rig.Log.MaySend = false;
        rig.Log.Halting = halting.Token;
        await halting.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => rig.AskAsync());

        Assert.Equal(["begin", "fail:Release"], rig.Log.Events);
        Assert.Equal(0, rig.Server.Requests);
    }

    [Fact]
    public async Task A_lease_lost_while_connecting_holds_the_bytes_back()
    {
        await using var rig = await Rig.StartAsync(Hello);
        // The connection stands and the body is about to go when the lease ends.
        using var handler = new BeforeSend(() => rig.Log.MaySend = false);

        var call = rig.AskAsync(handler: handler);
        await rig.Log.AskedInVain;
        Assert.Equal(0, rig.Server.Requests);
        handler.Disarm();
        await rig.Log.AllowAsync();

        Assert.IsType<ModelOutcome.Answered>(await call);
        Assert.Equal(["begin", "complete"], rig.Log.Events);
        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task A_call_ends_with_the_ownership()
    {
        await using var rig = await Rig.StartAsync("""
            turns:
              - fail: { hang: true, times: forever }
            """);
        using var ownership = new CancellationTokenSource();
        using var pipeline = rig.Pipeline();

        var call = pipeline.CallAsync(Rig.Request(ModelMessage.User("x")), rig.Log, ownership.Token);
        await rig.RequestsAsync(1);
        await ownership.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        Assert.Equal(["begin"], rig.Log.Events);
    }

    [Fact]
    public async Task The_request_names_step_epoch_and_attempt()
    {
        await using var rig = await Rig.StartAsync(Hello);
        rig.Log.PriorAttempts = 2;

        var key = ((ModelOutcome.Answered)await rig.AskAsync()).Key;

        var line = rig.LogLines()[0];
        Assert.Equal($"{rig.Log.Run}.{key}", line.GetProperty("idempotency_key").GetString());
        Assert.Equal("3", line.GetProperty("run_epoch").GetString());
        Assert.Equal("3", line.GetProperty("attempt").GetString());
        Assert.Equal(3, rig.Log.Completed[0].Attempt);
    }

    [Fact]
    public async Task Equal_calls_of_two_runs_have_different_idempotency_keys()
    {
        await using var rig = await Rig.StartAsync(Hello);
        await rig.AskAsync();
        var other = rig.Log;
        rig.Log = new TestStepLog(rig.Clock) { Run = RunId.Parse("01981d3c-0000-7000-8000-000000000002") };
        await rig.AskAsync();

        Assert.Equal(2, rig.LogLines().Select(l => l.GetProperty("idempotency_key").GetString()).Distinct().Count());
        Assert.NotEqual(other.Run, rig.Log.Run);
    }

    [Theory]
    [InlineData(null, 16_384)]
    [InlineData(500, 500)]
    [InlineData(1_000_000, 16_384)]
    public async Task Output_is_clamped_to_what_client_and_policy_allow(int? client, int expected)
    {
        await using var rig = await Rig.StartAsync(Hello);
        using var seen = new Recorder();

        await rig.AskAsync(Rig.Request(ModelMessage.User("x")) with { MaxOutputTokens = client }, seen);

        Assert.Equal(expected, seen.Body.GetProperty("max_tokens").GetInt32());
        var hold = rig.Log.Holds[0]!;
        Assert.True(hold.Tokens >= expected + seen.Bytes.Length && hold.Tokens <= expected + seen.Bytes.Length + 1_000, $"hold {hold}");
        Assert.Equal((expected, hold.Tokens - expected), (hold.OutputTokens, hold.InputTokens));
    }

    [Fact]
    public async Task A_conversation_with_tools_goes_there_and_back()
    {
        await using var rig = await Rig.StartAsync("""
            turns:
              - call: { name: shell, arguments: { command: "echo \"{{turn}}\" ü" } }
                repeat: 3
              - say: done after {{turn}}
            """);
        using var pipeline = rig.Pipeline();
        var messages = new List<ModelMessage> { ModelMessage.System("be brief"), ModelMessage.User("go") };
        var arguments = new List<string>();

        ModelAnswer answer;
        do
        {
            var request = Rig.Request([.. messages]) with { Tools = [new ToolDefinition("shell", "runs", """{"type":"object"}""")], Identity = $"turn-{messages.Count}" };
            answer = ((ModelOutcome.Answered)await pipeline.CallAsync(request, rig.Log, CancellationToken.None)).Answer;
            messages.Add(ModelMessage.Assistant(answer));
            foreach (var call in answer.Calls)
            {
                arguments.Add(call.Arguments);
                messages.Add(ModelMessage.Tool(call.Id, "ok"));
            }
        }
        while (answer.Calls.Count > 0);

        Assert.Equal("done after 4", answer.Text);
        Assert.Equal(Enumerable.Range(1, 3).Select(n => $$"""{"command":"echo \"{{n}}\" ü"}"""), arguments);
        Assert.Equal(4, rig.PaidCalls());
        Assert.All(rig.Log.Holds.Zip(rig.Log.Completed), pair => Assert.True(pair.First!.NanoUsd >= pair.Second.Usage.NanoUsd));
    }

    [Fact]
    public async Task A_note_is_the_last_message_and_half_a_character_does_no_harm()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");
        using var seen = new Recorder();

        var outcome = await rig.AskAsync(Rig.Request(ModelMessage.User("cut \ud83d")) with { Note = "you repeat yourself" }, seen);

        Assert.IsType<ModelOutcome.Answered>(outcome);
        var messages = seen.Body.GetProperty("messages").EnumerateArray().ToArray();
        Assert.Equal("cut \ufffd", messages[0].GetProperty("content").GetString());
        Assert.Equal("user", messages[^1].GetProperty("role").GetString());
        Assert.Equal("you repeat yourself", messages[^1].GetProperty("content").GetString());
    }

    [Fact]
    public async Task A_schema_that_is_no_json_is_refused_before_money_is_held()
    {
        await using var rig = await Rig.StartAsync(Hello);

        var outcome = await rig.AskAsync(Rig.Request(ModelMessage.User("x")) with { Tools = [new ToolDefinition("t", "d", "{")] });

        Assert.Equal(ErrorCodes.RequestInvalid, Assert.IsType<ModelOutcome.Failed>(outcome).Failure.Code);
        Assert.Empty(rig.Log.Events);
    }

    [Fact]
    public async Task A_request_beyond_the_bound_is_refused_before_money_is_held()
    {
        await using var rig = await Rig.StartAsync(Hello);

        var outcome = await rig.AskAsync(Rig.Request(ModelMessage.User(new string('x', 17 << 20))));

        Assert.Equal(ErrorCodes.PayloadTooLarge, Assert.IsType<ModelOutcome.Failed>(outcome).Failure.Code);
        Assert.Empty(rig.Log.Events);
    }

    [Fact]
    public async Task Usage_that_is_not_told_is_counted_here_and_marked()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: some words, usage: none }]");

        await rig.AskAsync();

        var usage = rig.Log.Completed[0].Usage;
        Assert.True(usage.Estimated && usage is { InputTokens: > 0, OutputTokens: > 0, NanoUsd: > 0 }, $"{usage}");
    }

    [Fact]
    public async Task Cached_input_has_its_own_price()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x, usage: { input: 1000, output: 1, cached: 900 } }]");
        rig.Options.Prices["m"].CachedInput = 0.1m;

        await rig.AskAsync();

        Assert.Equal(new Usage(100 * 1_000 + 900 * 100 + 10_000, 1_000, 1, 900), rig.Log.Completed[0].Usage with { Prices = null });
    }

    [Fact]
    public async Task An_unpriced_model_is_refused_where_money_is_capped_and_else_counts_tokens()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");
        using var pipeline = rig.Pipeline();
        var request = Rig.Request(ModelMessage.User("x")) with { Model = "mock/unheard-of" };

        Assert.Equal(ErrorCodes.ModelUnpriced, pipeline.Check(request.Model, moneyIsCapped: true)?.Code);
        Assert.Null(pipeline.Check(request.Model, moneyIsCapped: false));
        var refused = await pipeline.CallAsync(request, rig.Log, CancellationToken.None);
        Assert.Equal(ErrorCodes.ModelUnpriced, Assert.IsType<ModelOutcome.Failed>(refused).Failure.Code);
        Assert.Empty(rig.Log.Events);

        Assert.IsType<ModelOutcome.Answered>(await pipeline.CallAsync(request with { MoneyIsCapped = false }, rig.Log, CancellationToken.None));
        Assert.Equal(0, rig.Log.Holds[0]!.NanoUsd);
        Assert.True(rig.Log.Holds[0]!.Tokens > 16_384);
    }

    [Theory]
    [InlineData("plain", "must be written PROVIDER/MODEL")]
    [InlineData("/m", "must be written PROVIDER/MODEL")]
    [InlineData("mock/", "must be written PROVIDER/MODEL")]
    [InlineData("nobody/m", "'nobody' of model 'nobody/m' is not configured; mock is")]
    public async Task A_model_of_no_provider_is_refused(string model, string words)
    {
        await using var rig = await Rig.StartAsync(Hello);
        using var pipeline = rig.Pipeline();

        var failure = pipeline.Check(model, false);

        Assert.Equal(ErrorCodes.ModelUnknown, failure?.Code);
        Assert.Contains(words, failure!.Message, StringComparison.Ordinal);
        Assert.Equal(failure, Assert.IsType<ModelOutcome.Failed>(await rig.AskAsync(Rig.Request(ModelMessage.User("x")) with { Model = model })).Failure);
    }

    [Fact]
    public void A_recorded_answer_has_a_stable_small_form()
    {
        var answer = new ModelAnswer("hi", [new ToolCall("c", "shell", "{\"a\":1}")], "tool_calls", "m-1", null);

        Assert.Equal("""{"text":"hi","calls":[{"id":"c","name":"shell","arguments":"{\"a\":1}"}],"finish_reason":"tool_calls","model":"m-1"}""", Encoding.UTF8.GetString(RecordedAnswer.Encode(answer)));
        Assert.Equivalent(answer, RecordedAnswer.Decode(RecordedAnswer.Encode(answer)), strict: true);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public async Task Tools_that_are_off_are_named_and_not_to_be_chosen(bool off, bool chosen)
    {
        await using var rig = await Rig.StartAsync(Hello);
        using var sent = new Recorder();

        await rig.AskAsync(Rig.Request(ModelMessage.User("hi")) with { Tools = [new ToolDefinition("shell", "Runs.", "{}")], ToolsOff = off }, sent);

        Assert.Equal(1, sent.Body.GetProperty("tools").GetArrayLength());
        Assert.Equal(chosen, sent.Body.TryGetProperty("tool_choice", out var choice) && choice.GetString() == "none");
    }
}
