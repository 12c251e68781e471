using System.Text;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

public sealed class GeminiWireTests
{
    private const string Path = "/v1beta/models/gemini-x:generateContent";
    private const string StreamPath = "/v1beta/models/gemini-x:streamGenerateContent";
    private const string Plain = """{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}""";
    private const string First = """{"candidates":[{"content":{"parts":[{"text":"Hé, \"}]"}]}}],"modelVersion":"g-1","usageMetadata":{"promptTokenCount":9,"totalTokenCount":9}}""";
    private const string Last = """{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"modelVersion":"g-1","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":5,"cachedContentTokenCount":4,"totalTokenCount":16}}""";

    private static readonly AnswerEnd Whole = new(true, new TokenUsage(9, 7, 4), "g-1", null);

    [Fact]
    public void The_model_is_in_the_path_and_the_clients_key_stays_here()
    {
        var call = WireRig.Call(StreamPath, """{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":5000,"candidateCount":2,"thinkingConfig":{"thinkingBudget":700}}}""", "?key=secret&alt=sse");

        Assert.Equal(("gemini-x", true, 5000, 701, 2), (call.Model, call.IsStream, call.MaxOutput, call.LeastOutput, call.Choices));
        Assert.Equal("/models/up-1:streamGenerateContent?alt=sse", call.For("up-1", 1).Path);
        WireRig.SameJson("""{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":100,"candidateCount":2,"thinkingConfig":{"thinkingBudget":700}}}""", call.Sent());
        WireRig.SameJson("""{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":100}}""", WireRig.Call(Path, Plain).Sent());
    }

    [Fact]
    public void Both_spellings_are_one()
    {
        var camel = WireRig.Call(Path, """{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"a_b":1}}}]}],"generationConfig":{"maxOutputTokens":7}}""");
        var snake = WireRig.Call(Path, """{"contents":[{"parts":[{"function_call":{"name":"f","args":{"a_b":1}}}]}],"generation_config":{"max_output_tokens":7}}""");

        Assert.Equal((7, camel.Match.L0), (snake.MaxOutput, snake.Match.L0));
        Assert.Contains("a_b", snake.Sent(), StringComparison.Ordinal);
        Assert.Equal(WireProblem.Invalid, WireRig.Refusal(Path, """{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{},"generation_config":{}}""").Problem);
        Assert.StartsWith("contents[0].parts[0].fileData: ", WireRig.Refusal(Path, """{"contents":[{"parts":[{"file_data":{"file_uri":"https://x"}}]}]}""").Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_reads_the_same_wherever_it_is_cut()
    {
        var stream = $"data: {First}\r\n\r\ndata: {Last}\r\n\r\n";
        var call = WireRig.Call(StreamPath, Plain, "?alt=sse");

        WireRig.SameWhereverCut(call, stream);
        var (client, end, _) = WireRig.Answer(call, stream);
        Assert.Equal(stream, client);
        Assert.Equal(Whole, end);
    }

    [Fact]
    public void A_list_as_stream_reads_the_same_wherever_it_is_cut()
    {
        var stream = $"[{First}\n,\r\n{Last}\n]\n";
        var call = WireRig.Call(StreamPath, Plain);

        WireRig.SameWhereverCut(call, stream);
        var (client, end, _) = WireRig.Answer(call, stream);
        Assert.Equal(stream, client);
        Assert.Equal(Whole, end);
        for (var length = 0; length < stream.IndexOf("]\n", stream.Length - 3, StringComparison.Ordinal); length++)
        {
            Assert.False(WireRig.Answer(call, stream[..length]).End.IsWhole);
            Assert.Equal(System.Text.Json.JsonValueKind.Array, WireRig.Parse(WireRig.CutAfter(call, stream, length)).ValueKind);
        }
    }

    [Fact]
    public void Cutting_ends_the_stream()
    {
        var cut = WireRig.CutAfter(WireRig.Call(StreamPath, Plain, "?alt=sse"), $"data: {First}\r\n\r\ndata: {Last}", First.Length + 30);

        Assert.Equal(2, WireRig.Data(cut).Length);
        Assert.Contains("\"finishReason\":\"MAX_TOKENS\"", WireRig.Data(cut)[1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"error":{"code":500,"message":"no"}}""", "an error: no")]
    [InlineData("{}", "no candidates")]
    public void An_error_in_the_answers_place_is_not_whole(string answer, string problem)
    {
        var end = WireRig.Answer(WireRig.Call(Path, Plain), answer).End;

        Assert.Equal((false, problem), (end.IsWhole, end.Problem));
    }

    [Fact]
    public void A_blocked_prompt_is_an_answer() =>
        Assert.True(WireRig.Answer(WireRig.Call(Path, Plain), """{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}""").End.IsWhole);

    [Fact]
    public void Counting_is_not_billed()
    {
        var call = WireRig.Call("/v1beta/models/gemini-x:countTokens", Plain);
        var wrapped = WireRig.Call("/v1beta/models/gemini-x:countTokens", $$"""{"generateContentRequest":{"model":"models/gemini-x","contents":[{"parts":[{"text":"hi"}]}]} }""");

        Assert.Equal((false, "/models/u:countTokens"), (call.IsBilled, call.For("u", 1).Path));
        Assert.False(wrapped.IsBilled);
        Assert.False(WireRig.Call("/v1/models/gemini-x:countTokens", Plain).IsBilled);
        Assert.True(WireRig.Answer(call, """{"totalTokens":3}""").End.IsWhole);
    }

    [Theory]
    [InlineData("""{"tools":[{"googleSearch":{}}]}""", "tools[0].googleSearch")]
    [InlineData("""{"tools":[{"functionDeclarations":[]},{"url_context":{}}]}""", "tools[1].urlContext")]
    [InlineData("""{"tools":[{"codeExecution":{}}]}""", "tools[0].codeExecution")]
    [InlineData("""{"cachedContent":"cachedContents/x"}""", "cachedContent")]
    [InlineData("""{"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}""", "generationConfig.responseModalities")]
    [InlineData("""{"generationConfig":{"speechConfig":{}}}""", "generationConfig.speechConfig")]
    public void What_runs_at_the_provider_is_denied_by_name(string extra, string field)
    {
        var error = WireRig.Refusal(Path, $"{Plain[..^1]},{extra[1..]}");

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(field + ": ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1beta/models/gemini-x:embedContent")]
    [InlineData("/v1beta/models/gemini-x:batchGenerateContent")]
    [InlineData("/v1/models/gemini-x:batchGenerateContent")]
    [InlineData("/v1/models/gemini-x")]
    [InlineData("/v1beta/files")]
    public void Other_actions_are_unknown(string path) => Assert.Null(Gateway.Wires.Wires.Route(WireRig.Post(path)));

    [Theory]
    [InlineData("/v1beta/models/a/b:generateContent")]
    [InlineData("/v1beta/models/a%2Fb:generateContent")]
    [InlineData("/v1beta/models/:generateContent")]
    public void A_model_that_is_a_path_is_invalid(string path) => Assert.Equal(WireProblem.Invalid, WireRig.Refusal(path, Plain).Problem);

    [Fact]
    public void A_limit_reads_as_exhausted()
    {
        var head = WireRig.Post(Path);

        var reply = Gateway.Wires.Wires.Route(head)!.Error(new WireError(WireProblem.Limit, "spent"), head);

        Assert.Equal(402, reply.Status);
        WireRig.SameJson("""{"error":{"code":402,"status":"RESOURCE_EXHAUSTED","message":"spent"}}""", Encoding.UTF8.GetString(reply.Body.Span));
    }

    [Fact]
    public void Tool_turns_without_ids_pair_by_tool_in_order()
    {
        var turns = WireRig.Call(Path, """{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"f","args":{"a":2}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"x"}}},{"functionResponse":{"name":"f","response":{"error":"y"}}}]}]}""").Turns;

        Assert.Equal([false, true], turns.Select(t => t.Failed));
        Assert.NotEqual(turns[0].Signature, turns[1].Signature);
        Assert.All(turns, t => Assert.NotNull(t.Result));
    }
}
