using System.Text;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

public sealed class ChatWireTests
{
    private const string Path = "/v1/chat/completions";
    private const string Plain = """{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}""";
    private const string Streamed = """{"model":"gpt-5","messages":[{"role":"user","content":"hi"}],"stream":true}""";

    private const string Stream = """
        : comment

        data: {"id":"c1","created":7,"model":"gpt-5-x","choices":[{"index":0,"delta":{"role":"assistant","content":"Hé"},"finish_reason":null}],"usage":null}

        data: {"id":"c1","created":7,"model":"gpt-5-x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}

        data: {"id":"c1","model":"gpt-5-x","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}

        data: [DONE]


        """;

    [Fact]
    public void A_request_is_read()
    {
        var call = WireRig.Call(Path, """{"model":"gpt-5","n":2,"max_tokens":100,"tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"}]}]}""");

        Assert.Equal(("gpt-5", false, true, 100, 100, 2), (call.Model, call.IsStream, call.IsBilled, call.MaxOutput, call.LeastOutput, call.Choices));
        Assert.Equal("2 messages, 1 tool", call.Summary);
        Assert.Equal(("openai.chat", WireFamily.OpenAi), (call.Wire.Name, call.Wire.Family));
    }

    [Theory]
    [InlineData(Plain, "up-1", """{"model":"up-1","messages":[{"role":"user","content":"hi"}],"max_tokens":100}""")]
    [InlineData(Plain, "gpt-5.1", """{"model":"gpt-5.1","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":100}""")]
    [InlineData(Streamed, "o3", """{"model":"o3","messages":[{"role":"user","content":"hi"}],"stream":true,"max_completion_tokens":100,"stream_options":{"include_usage":true}}""")]
    [InlineData("""{"max_completion_tokens":900,"model":"m","messages":[{"role":"user","content":"hi"}]}""", "m", """{"max_completion_tokens":100,"model":"m","messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"max_tokens":900,"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_obfuscation":false}}""", "o3", """{"max_tokens":100,"model":"o3","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}""")]
    [InlineData("""{"max_tokens":null,"stream_options":null,"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}""", "m", """{"max_tokens":100,"stream_options":{"include_usage":true},"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}""")]
    public void The_upstream_gets_its_model_the_bound_and_a_wish_for_usage(string body, string model, string sent)
    {
        var call = WireRig.Call(Path, body);

        WireRig.SameJson(sent, call.Sent(model));
        Assert.Equal("/chat/completions", call.For(model, 1).Path);
    }

    [Fact]
    public void The_rest_of_a_request_stays_byte_for_byte()
    {
        var messages = """[ {"role":"user",  "content":"caf\u00e9 é 1.0e2"} ]""";

        Assert.Contains($"\"messages\":{messages}", WireRig.Call(Path, $$"""{"model":"m","messages":{{messages}},"temperature":1.00}""").Sent(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_upstream_can_say_where_it_wants_the_bound()
    {
        var call = (Caisson.Gateway.Wires.Chat.ChatCall)WireRig.Call(Path, """{"max_completion_tokens":9,"model":"m","messages":[{"role":"user","content":"hi"}]}""");

        WireRig.SameJson("""{"model":"up-1","messages":[{"role":"user","content":"hi"}],"max_tokens":5}""", (call with { MaxTokensField = "max_tokens" }).Sent(maxOutput: 5));
    }

    [Theory]
    [InlineData("""{"web_search_options":{}}""", "web_search_options")]
    [InlineData("""{"plugins":[{"id":"web"}]}""", "plugins")]
    [InlineData("""{"enable_search":true}""", "enable_search")]
    [InlineData("""{"background":true}""", "background")]
    [InlineData("""{"tools":[{"type":"function","function":{"name":"f"}},{"type":"mcp","server_url":"https://x"}]}""", "tools[1].type 'mcp'")]
    [InlineData("""{"tools":[{"googleSearch":{}}]}""", "tools[0].type ''")]
    [InlineData("""{"service_tier":"priority"}""", "service_tier")]
    [InlineData("""{"modalities":["text","audio"]}""", "modalities")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}""", "messages[0].content[0].image_url")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f-1"}}]}]}""", "messages[0].content[0].file.file_id")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"video_url","video_url":{"url":"https://x"}}]}]}""", "messages[0].content[0].type 'video_url'")]
    [InlineData("""{"new_thing":"https://x"}""", "new_thing")]
    [InlineData("""{"new_thing":"thing_123"}""", "new_thing")]
    [InlineData("""{"new_thing":[1]}""", "new_thing")]
    [InlineData("""{"web_lookup":true}""", "web_lookup")]
    [InlineData("""{"new_thing":{"browse":"on"}}""", "new_thing")]
    public void What_makes_the_provider_connect_is_denied_by_name(string extra, string field)
    {
        var plain = extra.Contains("messages", StringComparison.Ordinal) ? """{"model":"gpt-5"}""" : Plain;
        var error = WireRig.Refusal(Path, $"{plain[..^1]},{extra[1..]}");

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(field + ": ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [InlineData("\"new_thing\":true")]
    [InlineData("\"new_thing\":7")]
    [InlineData("\"new_thing\":{\"effort\":\"high\"}")]
    [InlineData("\"web_lookup\":false")]
    [InlineData("\"plugins\":null")]
    [InlineData("\"reasoning_effort\":\"high\"")]
    public void Unknown_switches_pass(string extra) => WireRig.Call(Path, Plain[..^1] + "," + extra + "}");

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"model":"m","model":"n","messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":"\ud800"}]}""")]
    [InlineData("""{"model":"m","messages":[]}""")]
    [InlineData("""{"model":"m","messages":[7]}""")]
    [InlineData("""{"model":"m","messages":[{"content":"hi"}]}""")]
    [InlineData("""{"model":"m","messages":[{"role":"user","content":{}}]}""")]
    [InlineData("""{"model":"m","n":0,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","max_tokens":1.5,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","stream":1,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("""{"model":"m","stream_options":1,"messages":[{"role":"user","content":"hi"}]}""")]
    public void Nonsense_is_invalid(string body) => Assert.Equal(WireProblem.Invalid, WireRig.Refusal(Path, body).Problem);

    [Fact]
    public void Deep_and_large_bodies_are_refused()
    {
        Assert.Equal(WireProblem.Invalid, WireRig.Refusal(Path, new string('[', 100_000)).Problem);
        Assert.Equal(WireProblem.Invalid, WireRig.Refusal(Path, Plain[..^1] + ",\"x\":" + new string('[', 64) + new string(']', 64) + "}").Problem);
        Assert.Equal(WireProblem.TooLarge, WireRig.Refusal(Path, new string(' ', CallBounds.MaxRequestBytes + 1)).Problem);
    }

    [Fact]
    public void A_body_of_ten_megabytes_is_fine_and_counts_by_its_bytes()
    {
        var body = Plain.Replace("hi", string.Concat(Enumerable.Repeat("every word \\n é 2026-01-02 ", 400_000)), StringComparison.Ordinal);

        var call = WireRig.Call(Path, body);

        Assert.True(call.MostInput >= Encoding.UTF8.GetByteCount(body));
        Assert.Single(call.Match.Volatile);
    }

    [Fact]
    public void A_picture_counts_as_more_than_its_bytes_and_sound_as_its_bytes()
    {
        static long Most(string part) => WireRig.Call(Path, $$"""{"model":"m","messages":[{"role":"user","content":[{{part}}]}]}""").MostInput;
        var text = Most("""{"type":"text","text":"x"}""");

        Assert.InRange(Most("""{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}"""), text + 12_000, text + 12_200);
        Assert.InRange(Most("""{"type":"input_audio","input_audio":{"format":"wav","data":"AAAA"}}"""), text, text + 200);
        Assert.InRange(Most("""{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA"}}"""), text + 1_000_000, text + 1_000_200);
    }

    [Fact]
    public void A_stream_reads_the_same_wherever_it_is_cut()
    {
        WireRig.SameWhereverCut(WireRig.Call(Path, Streamed), Stream);
        WireRig.SameWhereverCut(WireRig.Call(Path, Streamed), Stream.ReplaceLineEndings("\r\n"));
        WireRig.SameWhereverCut(WireRig.Call(Path, Plain), """ {"choices":[{"message":{"content":"Hé"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}} """);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    public void Usage_is_taken_out_unless_the_client_asked(string lines)
    {
        var stream = Stream.ReplaceLineEndings(lines);
        var asks = Streamed[..^1] + ",\"stream_options\":{\"include_usage\":true}}";

        var (quiet, end, outputBytes) = WireRig.Answer(WireRig.Call(Path, Streamed), stream);
        var (told, _, _) = WireRig.Answer(WireRig.Call(Path, asks), stream);

        Assert.Equal(stream, told);
        Assert.Equal(3, WireRig.Data(quiet).Length);
        Assert.DoesNotContain("prompt_tokens", quiet, StringComparison.Ordinal);
        Assert.StartsWith(": comment", quiet, StringComparison.Ordinal);
        Assert.Equal(new AnswerEnd(true, new TokenUsage(9, 3, 4), "gpt-5-x", null), end);
        Assert.Equal(6, outputBytes);
    }

    [Fact]
    public void Only_a_stream_with_its_end_is_whole()
    {
        var call = WireRig.Call(Path, Streamed);
        var done = Stream.IndexOf("[DONE]", StringComparison.Ordinal) + "[DONE]".Length + 1;
        for (var length = 0; length < Encoding.UTF8.GetByteCount(Stream); length++)
        {
            var end = WireRig.Answer(call, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(Stream).AsSpan(0, length))).End;

            Assert.Equal(length >= done, end.IsWhole);
            Assert.Equal(end.IsWhole, end.Problem is null);
        }
    }

    [Theory]
    [InlineData("data: {\"error\":{\"message\":\"overloaded\"}}\n\ndata: [DONE]\n\n", "an error: overloaded")]
    [InlineData("data: {\"choices\":[{\"index\":0}]}\n\ndata: <html>\n\ndata: [DONE]\n\n", "an event that is no JSON")]
    [InlineData("data: [DONE]\n\n", "the stream ended before its end")]
    [InlineData("", "nothing came")]
    [InlineData("{\"error\":{\"message\":\"over\\nquota\"}}", "an error: over\\nquota")]
    [InlineData("{\"choices\":[]}", "no choices")]
    [InlineData("{\"choices\":[", "no whole JSON")]
    public void An_error_in_the_answers_place_is_not_whole(string answer, string problem)
    {
        var (client, end, _) = WireRig.Answer(WireRig.Call(Path, Streamed), answer);

        Assert.Equal((false, problem), (end.IsWhole, end.Problem));
        Assert.Equal(answer, client);
    }

    [Theory]
    [InlineData("""{"prompt_tokens":0,"completion_tokens":3}""")]
    [InlineData("""{"prompt_tokens":1e99,"completion_tokens":3}""")]
    [InlineData("""{"prompt_tokens":5,"completion_tokens":-3}""")]
    [InlineData("""{"prompt_tokens":"5","completion_tokens":3}""")]
    [InlineData("{}")]
    public void Impossible_figures_are_none(string usage)
    {
        var (_, end, _) = WireRig.Answer(WireRig.Call(Path, Plain), $$$"""{"choices":[{"message":{"content":"x"}}],"usage":{{{usage}}}}""");

        Assert.Equal((true, null), (end.IsWhole, end.Usage));
    }

    [Fact]
    public void Thoughts_that_stand_only_in_the_total_are_output() =>
        Assert.Equal(new TokenUsage(5, 45), WireRig.Answer(WireRig.Call(Path, Plain), """{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":50}}""").End.Usage);

    [Fact]
    public void A_cut_stream_ends_well_formed()
    {
        var call = WireRig.Call(Path, Streamed);
        for (var length = 0; length < Stream.IndexOf("[DONE]", StringComparison.Ordinal); length++)
        {
            var data = WireRig.Data(WireRig.CutAfter(call, Stream, length));

            Assert.Equal("[DONE]", data[^1]);
            Assert.All(data[..^1], d => Assert.Equal("chat", WireRig.Parse(d).TryGetProperty("choices", out _) ? "chat" : d));
        }

        Assert.Contains("\"finish_reason\":\"length\"", WireRig.CutAfter(call, Stream, 200), StringComparison.Ordinal);
    }

    [Fact]
    public void An_event_without_an_end_passes_in_bounded_memory_and_is_not_whole()
    {
        var stream = "data: " + new string('x', 5 << 20) + "\n\ndata: [DONE]\n\n";

        var (client, end, outputBytes) = WireRig.Answer(WireRig.Call(Path, Streamed), stream, Enumerable.Range(0, 100).Select(i => i * 65_536));

        Assert.Equal(stream, client);
        Assert.Equal((false, "an event of more than 4 MiB"), (end.IsWhole, end.Problem));
        Assert.True(outputBytes >= 5 << 20);
    }

    [Theory]
    [InlineData(WireProblem.Limit, null, 402)]
    [InlineData(WireProblem.Limit, "codex_cli_rs/0.9", 400)]
    [InlineData(WireProblem.Denied, null, 403)]
    [InlineData(WireProblem.Denied, "codex_exec/0.9", 400)]
    [InlineData(WireProblem.Invalid, null, 400)]
    [InlineData(WireProblem.Unknown, null, 501)]
    [InlineData(WireProblem.NoModel, null, 404)]
    [InlineData(WireProblem.TooLarge, null, 413)]
    [InlineData(WireProblem.Upstream, null, 502)]
    public void Errors_have_the_status_that_stops_the_client(int problem, string? agent, int status)
    {
        var head = WireRig.Post(Path, agent: agent);

        var reply = Gateway.Wires.Wires.Route(head)!.Error(new WireError((WireProblem)problem, "no \"room\""), head);

        Assert.Equal(status, reply.Status);
        Assert.Contains("\"message\":\"no \\\"room\\\"\"", Encoding.UTF8.GetString(reply.Body.Span), StringComparison.Ordinal);
    }

    [Fact]
    public void A_limit_reads_as_an_exhausted_quota()
    {
        var head = WireRig.Post(Path);

        var reply = Gateway.Wires.Wires.Route(head)!.Error(new WireError(WireProblem.Limit, "spent"), head);

        WireRig.SameJson("""{"error":{"message":"spent","type":"insufficient_quota","param":null,"code":"budget_exceeded"}}""", Encoding.UTF8.GetString(reply.Body.Span));
    }

    [Fact]
    public void Tool_turns_pair_calls_with_results()
    {
        const string Body = """
            {"model":"m","messages":[{"role":"user","content":"hi"},
            {"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1, \"y\":2}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{\"y\":2,\"x\":1}"}}]},
            {"role":"tool","tool_call_id":"b","content":"two"},{"role":"tool","tool_call_id":"a","content":"one"},
            {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"g","arguments":"no json"}}]}]}
            """;

        var turns = WireRig.Call(Path, Body).Turns;

        Assert.Equal(["f", "f", "g"], turns.Select(t => t.Tool));
        Assert.Equal(turns[0].Signature, turns[1].Signature);
        Assert.NotEqual(turns[0].Result, turns[1].Result);
        Assert.Null(turns[2].Result);
    }

    [Theory]
    [InlineData("GET", Path)]
    [InlineData("POST", "/v1/chat/completions/")]
    [InlineData("POST", "/v1/completions")]
    [InlineData("POST", "/v1/files")]
    public void Other_routes_are_unknown(string method, string path) => Assert.Null(Gateway.Wires.Wires.Route(new WireHead(method, path, "", null)));
}
