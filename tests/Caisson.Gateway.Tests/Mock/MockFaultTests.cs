using System.Net;
using System.Text.Json;
using Caisson.Gateway.Tests.Harness;
using Caisson.MockModel;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Gateway.Tests.Mock;

/// <summary>What goes wrong, on each wire in its own form.</summary>
public sealed class MockFaultTests
{
    private const string Text = "A text that is long enough to be sent in a few pieces.";

    public static TheoryData<string> Wires => ["openai.chat", "openai.responses", "anthropic", "gemini"];

    [Theory]
    [InlineData("openai.chat", 429, """{"error":{"message":"no","type":"rate_limit_error","param":null,"code":null}}""")]
    [InlineData("openai.responses", 500, """{"error":{"message":"no","type":"server_error","param":null,"code":null}}""")]
    [InlineData("openai.responses", 400, """{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}""")]
    [InlineData("anthropic", 429, """{"type":"error","error":{"type":"rate_limit_error","message":"no"},"request_id":"ID"}""")]
    [InlineData("anthropic", 529, """{"type":"error","error":{"type":"overloaded_error","message":"no"},"request_id":"ID"}""")]
    [InlineData("anthropic", 400, """{"type":"error","error":{"type":"invalid_request_error","message":"no"},"request_id":"ID"}""")]
    [InlineData("gemini", 429, """{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}""")]
    [InlineData("gemini", 503, """{"error":{"code":503,"message":"no","status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}""")]
    public async Task A_refusal_has_its_wires_form(string wire, int status, string error)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: ok, fail: {{ status: {status}, message: 'no', retry_after: 1.5 }} }}]");

        using var response = await MockClient.SendAsync(rig, Path(wire), Body(wire));

        Assert.Equal((HttpStatusCode)status, response.StatusCode);
        Assert.Equal("1.5", response.Headers.NonValidated["Retry-After"].Single());
        var id = response.Headers.TryGetValues("request-id", out var ids) ? ids.Single() : "";
        Assert.Equal(error.Replace("ID", id, StringComparison.Ordinal), await response.Content.ReadAsStringAsync());
        Assert.Equal(("failed", wire), (rig.LogLines()[^1].Text("event"), rig.LogLines()[^1].Text("wire")));
    }

    [Theory, MemberData(nameof(Wires))]
    public async Task A_stream_is_cut_at_the_given_piece(string wire)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: {Text}, fail: {{ cut: 2 }} }}]");

        var (cut, cutWhole) = await MockClient.ReadAsync(rig, Path(wire), Body(wire));
        var (text, textWhole) = await MockClient.ReadAsync(rig, Path(wire), Body(wire));

        Assert.Equal((false, true), (cutWhole, textWhole));
        Assert.Equal(2, MockClient.Events(cut).Length);
        Assert.StartsWith(cut, text, StringComparison.Ordinal);
        Assert.Equal(1, rig.PaidCalls());
    }

    [Theory]
    [InlineData("openai.chat", """{"error":{"message":"no","type":"server_error","param":null,"code":null}}""")]
    [InlineData("openai.responses", null)]
    [InlineData("anthropic", """{"type":"error","error":{"type":"overloaded_error","message":"no"}}""")]
    [InlineData("gemini", """{"error":{"code":529,"message":"no","status":"UNAVAILABLE"}}""")]
    public async Task A_stream_can_fail_when_it_has_begun(string wire, string? error)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: {Text}, fail: {{ status: 529, after: 2, message: 'no' }} }}]");

        var events = MockClient.Events(await MockClient.PostAsync(rig, Path(wire), Body(wire)));

        Assert.Equal(3, events.Length);
        if (error is not null)
            Assert.Equal(error, events[2].Data.GetRawText());
        else
            Assert.Equal("response.failed 2 failed no", $"{events[2].Name} {events[2].Data.GetProperty("sequence_number").GetInt32()} {events[2].Data.GetProperty("response").Text("status")} {events[2].Data.GetProperty("response").GetProperty("error").Text("message")}");
        Assert.Equal(0, rig.PaidCalls());
    }

    [Theory]
    [InlineData("fail: { hang: 2 }")]
    [InlineData("pace: 60m")]
    public async Task A_stream_can_stand_still(string trouble)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: {Text}, {trouble} }}]");
        using var response = await MockClient.SendAsync(rig, Path("anthropic"), Body("anthropic"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());

        Assert.Equal("event: message_start", await reader.ReadLineAsync().WaitAsync(TestStepLog.Patience));
    }

    [Fact]
    public async Task A_slow_stream_takes_its_time_between_all_pieces()
    {
        var clock = new FakeTimeProvider();
        await using var server = await MockModelServer.StartAsync(new MockModelOptions { Script = Rig.Parse($"turns: [{{ say: {Text}, pace: 10s }}]"), Time = clock });
        using var content = new StringContent(Body("openai.chat"));
        var began = clock.GetUtcNow();

        var call = MockClient.Http.PostAsync(new Uri(server.Root, Path("openai.chat")), content);
        while (!call.IsCompleted)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        using var response = await call;
        var events = MockClient.Events(await response.Content.ReadAsStringAsync());
        Assert.True(events.Length > 4);
        Assert.True(clock.GetUtcNow() - began >= (events.Length - 1) * TimeSpan.FromSeconds(10));
    }

    [Theory, MemberData(nameof(Wires))]
    public async Task Usage_can_be_missing(string wire)
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok, usage: none }]");

        var text = await MockClient.PostAsync(rig, Path(wire), Body(wire));

        Assert.DoesNotContain("\"usage\":{", text, StringComparison.Ordinal);
        Assert.DoesNotContain("usageMetadata", text, StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, rig.LogLines()[^1].GetProperty("usage").ValueKind);
    }

    [Theory]
    [InlineData("{ input: 0, output: 0 }", """{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0""")]
    [InlineData("{ input: 1000000000000000, output: 1000000000000000 }", """{"prompt_tokens":1000000000000000,"completion_tokens":1000000000000000,"total_tokens":2000000000000000""")]
    [InlineData("{ input: 5, output: 2, total: 9 }", """{"prompt_tokens":5,"completion_tokens":2,"total_tokens":9""")]
    public async Task Usage_can_be_zero_absurd_or_not_add_up(string usage, string told)
    {
        await using var rig = await Rig.StartAsync($"turns: [{{ say: ok, usage: {usage} }}]");

        var answer = await MockClient.PostJsonAsync(rig, Path("openai.chat"), """{"model":"m","messages":[{"role":"user","content":"go"}]}""");

        Assert.StartsWith(told, answer.GetProperty("usage").GetRawText(), StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Wires))]
    public async Task What_a_wire_cannot_read_is_refused_in_its_form(string wire)
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        var answers = new[] { await MockClient.PostJsonAsync(rig, Path(wire), "{"), await MockClient.PostJsonAsync(rig, Path(wire), "[]"), await MockClient.PostJsonAsync(rig, Path(wire), "{}") };

        Assert.All(answers, a => Assert.StartsWith("the body", a.GetProperty("error").Text("message"), StringComparison.Ordinal));
        Assert.All(answers, a => Assert.Equal(wire == "anthropic", a.TryGetProperty("request_id", out _)));
    }

    private static string Path(string wire) => wire switch
    {
        "openai.chat" => "/v1/chat/completions",
        "openai.responses" => "/v1/responses",
        "anthropic" => "/v1/messages",
        _ => "/v1beta/models/m:streamGenerateContent?alt=sse",
    };

    /// <summary>Each asks for a stream.</summary>
    private static string Body(string wire) => wire switch
    {
        "openai.chat" => """{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"go"}]}""",
        "openai.responses" => """{"model":"m","stream":true,"input":"go"}""",
        "anthropic" => """{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"go"}]}""",
        _ => """{"contents":[{"parts":[{"text":"go"}]}]}""",
    };
}
