using System.Net;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Tests.Harness;
using Caisson.MockModel;

namespace Caisson.Gateway.Tests.Mock;

public sealed class MockServerTests
{
    private const string Script = """
        model: m
        turns:
          - say: Let me look — 日本語 and 🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂 in many small pieces of text.
            call:
              - { name: shell, arguments: { command: "ls -la /workspace # {{turn}}" } }
              - { name: files, arguments: "not json" }
          - say: done
            usage: { input: 50, output: 5, cached: 10 }
        """;

    private static readonly HttpClient Client = new();

    [Fact]
    public async Task The_same_request_has_the_same_answer_from_this_server_and_the_next()
    {
        await using var one = await Rig.StartAsync(Script);
        await using var other = await Rig.StartAsync(Script);

        var answers = new[] { await PostAsync(one, Body(0)), await PostAsync(one, Body(0)), await PostAsync(other, Body(0)) };

        Assert.Single(answers.Distinct());
        Assert.NotEqual(answers[0], await PostAsync(one, Body(1)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_stream_says_what_the_whole_answer_says(int turn)
    {
        await using var rig = await Rig.StartAsync(Script);

        var whole = JsonDocument.Parse(await PostAsync(rig, Body(turn))).RootElement;
        var stream = await PostAsync(rig, Body(turn, """, "stream": true, "stream_options": { "include_usage": true }"""));

        var events = stream.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("data: [DONE]", events[^1]);
        var chunks = events[..^1].Select(e => JsonDocument.Parse(e["data: ".Length..]).RootElement).ToArray();
        var (text, calls, finish) = Assemble(chunks);
        var choice = whole.GetProperty("choices")[0];
        Assert.Equal(choice.GetProperty("message").GetProperty("content").GetString(), text);
        Assert.Equal(choice.GetProperty("finish_reason").GetString(), finish);
        var expected = choice.GetProperty("message").TryGetProperty("tool_calls", out var list)
            ? list.EnumerateArray().Select(c => (c.GetProperty("id").GetString()!, c.GetProperty("function").GetProperty("name").GetString()!, c.GetProperty("function").GetProperty("arguments").GetString()!)).ToArray()
            : [];
        Assert.Equal(expected, calls);
        Assert.Equal(whole.GetProperty("usage").GetRawText(), chunks[^1].GetProperty("usage").GetRawText());
        Assert.Equal(0, chunks[^1].GetProperty("choices").GetArrayLength());
        Assert.All(chunks, c => Assert.Equal(whole.GetProperty("id").GetString(), c.GetProperty("id").GetString()));
    }

    [Fact]
    public async Task A_stream_has_no_usage_that_was_not_asked_for()
    {
        await using var rig = await Rig.StartAsync(Script);

        Assert.DoesNotContain("usage", await PostAsync(rig, Body(0, """, "stream": true""")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whoever_has_an_answer_finds_its_line_in_the_log()
    {
        await using var rig = await Rig.StartAsync(Script);

        await PostAsync(rig, Body(1), ("Idempotency-Key", "k"), ("Run-Epoch", "4"), ("Attempt", "2"));

        var lines = rig.LogLines();
        Assert.Equal(["request", "answered"], lines.Select(l => l.GetProperty("event").GetString()));
        Assert.All(lines, l => Assert.Equal("1 m k 4 2 2", $"{l.GetProperty("n")} {l.GetProperty("model")} {l.GetProperty("idempotency_key")} {l.GetProperty("run_epoch")} {l.GetProperty("attempt")} {l.GetProperty("turn")}"));
        Assert.Equal(200, lines[1].GetProperty("status").GetInt32());
        Assert.Equal("""{"input":50,"output":5,"cached":10,"written":0,"reasoning":0}""", lines[1].GetProperty("usage").GetRawText());
        Assert.Equal(JsonValueKind.Null, lines[0].GetProperty("status").ValueKind);
        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task Many_callers_are_counted_one_by_one()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok, fail: { status: 500, times: 1 } }]");

        // Each caller has its own key, so each meets the scripted fault once, though all ask the same.
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async caller =>
        {
            Assert.Contains("scripted failure", await PostAsync(rig, Body(0), ("Idempotency-Key", $"{caller}")), StringComparison.Ordinal);
            Assert.Contains("ok", await PostAsync(rig, Body(0), ("Idempotency-Key", $"{caller}")), StringComparison.Ordinal);
        }));

        var lines = rig.LogLines();
        Assert.Equal(200, lines.Length);
        Assert.Equal(Enumerable.Range(1, 100), lines.Where(l => l.GetProperty("event").GetString() == "request").Select(l => l.GetProperty("n").GetInt32()).Order());
        Assert.Equal(50, rig.PaidCalls());
        Assert.Equal(100, rig.Server.Requests);
    }

    [Fact]
    public async Task A_client_that_goes_during_the_delay_has_still_cost_a_call()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok, delay: 50ms }]");
        using var gone = new CancellationTokenSource();
        using var content = new StringContent(Body(0));
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{rig.Server.BaseUri}/chat/completions") { Content = content };

        var call = Client.SendAsync(request, gone.Token);
        await rig.RequestsAsync(1);
        await gone.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        var began = TimeProvider.System.GetTimestamp();
        while (rig.LogLines().Length < 2)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TestStepLog.Patience, "the abandoned call was never finished");
            await Task.Yield();
        }

        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task A_server_with_hanging_requests_stops_at_once()
    {
        var rig = await Rig.StartAsync("turns: [{ fail: { hang: true, times: forever } }]");
        var call = PostAsync(rig, Body(0));
        await rig.RequestsAsync(1);

        await rig.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10));

        await Assert.ThrowsAnyAsync<HttpRequestException>(() => call);
    }

    [Fact]
    public async Task Models_are_listed()
    {
        await using var rig = await Rig.StartAsync(Script);

        var list = JsonDocument.Parse(await Client.GetStringAsync(new Uri($"{rig.Server.BaseUri}/models"))).RootElement;

        Assert.Equal("m", Assert.Single(list.GetProperty("data").EnumerateArray()).GetProperty("id").GetString());
    }

    [Fact]
    public async Task A_model_is_told_in_the_form_of_whoever_asks()
    {
        await using var rig = await Rig.StartAsync(Script);

        Assert.Equal("model", (await AskAsync("/v1/models/m")).GetProperty("object").GetString());
        Assert.Equal("model_not_found", (await AskAsync("/v1/models/other")).GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("m", (await AskAsync("/v1/models/m", anthropic: true)).GetProperty("display_name").GetString());
        Assert.Equal("m", (await AskAsync("/v1/models", anthropic: true)).GetProperty("last_id").GetString());
        Assert.Equal("not_found_error", (await AskAsync("/v1/models/other", anthropic: true)).GetProperty("error").GetProperty("type").GetString());
        Assert.Equal("NOT_FOUND", (await AskAsync("/v1beta/other")).GetProperty("error").GetProperty("status").GetString());
        Assert.Empty(rig.LogLines());

        async Task<JsonElement> AskAsync(string path, bool anthropic = false)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(rig.Server.Root, path));
            if (anthropic)
                request.Headers.Add("anthropic-version", "2023-06-01");
            using var response = await Client.SendAsync(request);
            return JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
        }
    }

    [Fact]
    public async Task The_root_says_that_somebody_is_here()
    {
        await using var rig = await Rig.StartAsync(Script);
        using var request = new HttpRequestMessage(HttpMethod.Head, rig.Server.Root);

        using var response = await Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Theory]
    [InlineData("{", "the body is no JSON")]
    [InlineData("[]", "the body is no request of the wire openai.chat")]
    [InlineData("{}", "the body must have 'model' and 'messages'")]
    [InlineData("""{"model":"m","messages":[{"role":7}]}""", "the body is no request of the wire openai.chat")]
    [InlineData("""{"model":"other","messages":[]}""", "no script takes model 'other'")]
    [InlineData("""{"model":"m","messages":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}]}""", "has no turn 3")]
    public async Task A_request_that_fits_nothing_is_refused_and_logged(string body, string words)
    {
        await using var rig = await Rig.StartAsync(Script);

        Assert.Contains(words, JsonDocument.Parse(await PostAsync(rig, body)).RootElement.GetProperty("error").GetProperty("message").GetString()!, StringComparison.Ordinal);
        Assert.Equal(["request", "failed"], rig.LogLines().Select(l => l.GetProperty("event").GetString()));
        Assert.Equal(0, rig.PaidCalls());
    }

    [Fact]
    public async Task An_unknown_path_and_too_large_a_body_are_refused()
    {
        await using var rig = await Rig.StartAsync(Script);

        Assert.Equal(HttpStatusCode.NotFound, (await Client.GetAsync(new Uri($"{rig.Server.BaseUri}/embeddings"))).StatusCode);
        using var content = new StringContent(new string(' ', 17 << 20));
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{rig.Server.BaseUri}/chat/completions") { Content = content };
        // Else the refusal and the rest of the body cross on their way.
        request.Headers.ExpectContinue = true;
        using var response = await Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Equal(["request", "failed"], rig.LogLines().Select(l => l.GetProperty("event").GetString()));
    }

    [Fact]
    public async Task A_taken_port_is_told()
    {
        await using var rig = await Rig.StartAsync(Script);

        await Assert.ThrowsAnyAsync<IOException>(() => MockModelServer.StartAsync(new MockModelOptions
        {
            Script = Rig.Parse(Script),
            Listen = new IPEndPoint(IPAddress.Loopback, rig.Server.BaseUri.Port),
        }));
    }

    private static string Body(int turn, string more = "") => $$"""
        {"model":"m","messages":[{"role":"user","content":"go"}{{string.Concat(Enumerable.Repeat(""",{"role":"assistant","content":"x"},{"role":"user","content":"y"}""", turn))}}]{{more}}}
        """;

    private static async Task<string> PostAsync(Rig rig, string body, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{rig.Server.BaseUri}/chat/completions") { Content = new StringContent(body) };
        foreach (var (name, value) in headers)
            request.Headers.Add(name, value);
        using var response = await Client.SendAsync(request);
        return await response.Content.ReadAsStringAsync();
    }

    private static (string Text, (string Id, string Name, string Arguments)[] Calls, string? Finish) Assemble(IEnumerable<JsonElement> chunks)
    {
        var text = new StringBuilder();
        var calls = new List<(string Id, string Name, string Arguments)>();
        string? finish = null;
        foreach (var choice in chunks.SelectMany(c => c.GetProperty("choices").EnumerateArray()))
        {
            finish = choice.GetProperty("finish_reason").GetString() ?? finish;
            var delta = choice.GetProperty("delta");
            if (delta.TryGetProperty("content", out var content))
                text.Append(content.GetString());
            if (!delta.TryGetProperty("tool_calls", out var list))
                continue;
            foreach (var call in list.EnumerateArray())
            {
                var function = call.GetProperty("function");
                var index = call.GetProperty("index").GetInt32();
                if (call.TryGetProperty("id", out var id))
                    calls.Add((id.GetString()!, function.GetProperty("name").GetString()!, ""));
                calls[index] = calls[index] with { Arguments = calls[index].Arguments + function.GetProperty("arguments").GetString() };
            }
        }

        return (text.ToString(), [.. calls], finish);
    }
}
