using System.Text;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

public sealed class AnthropicWireTests
{
    private const string Path = "/v1/messages";
    private const string Plain = """{"model":"claude-x","max_tokens":1000,"messages":[{"role":"user","content":"hi"}]}""";
    private static readonly string Streamed = Plain[..^1] + ",\"stream\":true}";

    private static readonly string Stream = """
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","model":"claude-x-1","content":[],"usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":30,"output_tokens":1}}}

        event: ping
        data: {"type":"ping"}

        event: something_new
        data: {"type":"something_new"}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé"}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":0}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}

        event: message_stop
        data: {"type":"message_stop"}


        """.ReplaceLineEndings("\n");

    [Fact]
    public void A_request_is_read_and_sent_on()
    {
        var call = WireRig.Call(Path, Streamed[..^1] + ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":600}}", "?beta=true");

        Assert.Equal(("claude-x", true, true, 1000, 601), (call.Model, call.IsStream, call.IsBilled, call.MaxOutput, call.LeastOutput));
        Assert.Equal("/messages?beta=true", call.For("u", 1).Path);
        WireRig.SameJson("""{"model":"up-1","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"stream":true,"thinking":{"type":"enabled","budget_tokens":600}}""", call.Sent());
    }

    [Fact]
    public void Counting_and_asking_are_not_billed()
    {
        var count = WireRig.Call("/v1/messages/count_tokens", """{"model":"claude-x","messages":[{"role":"user","content":"hi"}]}""", "?beta=true");
        var head = new WireHead("HEAD", "/", "", null);
        var ask = Assert.IsType<WireRead.Call>(Gateway.Wires.Wires.Route(head)!.Read(head, default)).Value;

        Assert.Equal((false, 0, "/messages/count_tokens?beta=true"), (count.IsBilled, count.MostInput, count.For("u", 1).Path));
        WireRig.SameJson("""{"model":"up-1","messages":[{"role":"user","content":"hi"}]}""", count.Sent());
        Assert.True(WireRig.Answer(count, """{"input_tokens":5}""").End.IsWhole);
        Assert.False(ask.IsBilled);
        Assert.True(WireRig.Answer(ask, "").End.IsWhole);
    }

    [Fact]
    public void A_stream_reads_the_same_wherever_it_is_cut_and_counts_all_input()
    {
        var call = WireRig.Call(Path, Streamed);

        WireRig.SameWhereverCut(call, Stream);
        WireRig.SameWhereverCut(call, Stream.ReplaceLineEndings("\r\n"));
        var (client, end, outputBytes) = WireRig.Answer(call, Stream);
        Assert.Equal(Stream, client);
        Assert.Equal(new AnswerEnd(true, new TokenUsage(60, 7, 30, 20), "claude-x-1", null), end);
        Assert.Equal(3, outputBytes);
    }

    [Fact]
    public void A_cut_stream_is_not_whole_and_its_beginning_is_no_bill()
    {
        var end = WireRig.Answer(WireRig.Call(Path, Streamed), Stream[..Stream.IndexOf("event: message_delta", StringComparison.Ordinal)]).End;

        Assert.Equal((false, null), (end.IsWhole, end.Usage));
    }

    [Fact]
    public void Cutting_closes_what_is_open()
    {
        var call = WireRig.Call(Path, Streamed);
        for (var length = 0; length < Stream.IndexOf("event: message_stop", StringComparison.Ordinal); length++)
        {
            var types = WireRig.Data(WireRig.CutAfter(call, Stream, length)).Select(d => WireRig.Parse(d).GetProperty("type").GetString()).ToList();

            Assert.Equal("message_start", types[0]);
            Assert.Equal(["message_delta", "message_stop"], types[^2..]);
            Assert.Equal(types.Count(t => t == "content_block_start"), types.Count(t => t == "content_block_stop"));
        }
    }

    [Fact]
    public void A_cache_for_an_hour_is_billed_to_the_token()
    {
        const string Answer = """{"type":"message","model":"m","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":10,"cache_creation_input_tokens":1000,"cache_read_input_tokens":0,"output_tokens":3,"cache_creation":{"ephemeral_1h_input_tokens":1000,"ephemeral_5m_input_tokens":0}}}""";
        var price = new ModelPrice(new TokenRates(1_000_000, 5_000_000, 100_000, 1_250_000));

        var usage = WireRig.Answer(WireRig.Call(Path, Plain), Answer).End.Usage!;

        Assert.Equal((10 + 2 * 1000 + 5 * 3) * 1000, price.Cost(usage));
    }

    [Fact]
    public void A_request_for_an_hours_cache_may_count_more()
    {
        var plain = WireRig.Call(Path, """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"5m"}}]}]}""");
        var hour = WireRig.Call(Path, """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}""");

        Assert.Equal(plain.MostInput * 7 / 4, hour.MostInput);
        Assert.Equal(plain.Match.L1, hour.Match.L1);
    }

    [Theory]
    [InlineData("""data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}""", "an error: Overloaded")]
    [InlineData("""{"type":"error","error":{"type":"api_error","message":"no"}}""", "an error: no")]
    public void An_error_in_the_answers_place_is_not_whole(string answer, string problem)
    {
        var end = WireRig.Answer(WireRig.Call(Path, Streamed), answer + "\n\n").End;

        Assert.Equal((false, problem), (end.IsWhole, end.Problem));
    }

    [Theory]
    [InlineData("""{"mcp_servers":[{"type":"url","url":"https://x"}]}""", "mcp_servers")]
    [InlineData("""{"container":"c_1"}""", "container")]
    [InlineData("""{"speed":"fast"}""", "speed")]
    [InlineData("""{"service_tier":"priority"}""", "service_tier")]
    [InlineData("""{"tools":[{"name":"f","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}]}""", "tools[1].type 'web_search_20250305'")]
    [InlineData("""{"tools":[{"type":"web_fetch_20250910"}]}""", "tools[0].type 'web_fetch_20250910'")]
    [InlineData("""{"tools":[{"type":"code_execution_20250825"}]}""", "tools[0].type 'code_execution_20250825'")]
    [InlineData("""{"tools":[{"type":"mcp_toolset"}]}""", "tools[0].type 'mcp_toolset'")]
    [InlineData("""{"context_management":{"edits":[{"type":"compact_20260112"}]}}""", "context_management.edits 'compact_20260112'")]
    public void What_runs_at_the_provider_is_denied_by_name(string extra, string field)
    {
        var error = WireRig.Refusal(Path, $"{Plain[..^1]},{extra[1..]}");

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(field + ": ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type":"image","source":{"type":"url","url":"https://x"}}""", "messages[0].content[0].source.url")]
    [InlineData("""{"type":"document","source":{"type":"file","file_id":"f"}}""", "messages[0].content[0].source.file_id")]
    [InlineData("""{"type":"container_upload","file_id":"f"}""", "messages[0].content[0].type 'container_upload'")]
    [InlineData("""{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"url","url":"https://x"}}]}""", "messages[0].content[0].content[0].source.url")]
    public void Remote_content_is_denied_by_place(string block, string place)
    {
        var error = WireRig.Refusal(Path, Plain.Replace("\"hi\"", $"[{block}]", StringComparison.Ordinal));

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(place + ": ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"tools":[{"type":"bash_20250124","name":"bash"},{"type":"custom","name":"f","input_schema":{}}]}""")]
    [InlineData("""{"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}}""")]
    [InlineData("""{"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]}""")]
    public void What_the_client_runs_itself_passes(string extra) => WireRig.Call(Path, $"{Plain[..^1]},{extra[1..]}");

    [Fact]
    public void A_limit_reads_as_billing()
    {
        var head = WireRig.Post(Path);

        var reply = Gateway.Wires.Wires.Route(head)!.Error(new WireError(WireProblem.Limit, "spent"), head);

        Assert.Equal(402, reply.Status);
        Assert.StartsWith("""{"type":"error","error":{"type":"billing_error","message":"spent"},"request_id":"req_""", Encoding.UTF8.GetString(reply.Body.Span), StringComparison.Ordinal);
    }

    [Fact]
    public void Tool_turns_tell_failures_and_results_do_not_count_at_L3()
    {
        static WireCall With(string id, string result) => WireRig.Call(Path, $$$"""{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"{{{id}}}","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"{{{id}}}","is_error":true,"content":"{{{result}}}"}]}]}""");

        var turn = Assert.Single(With("a", "x").Turns);

        Assert.Equal(("f", true), (turn.Tool, turn.Failed));
        Assert.Equal(With("a", "x").Match.L2, With("b", "x").Match.L2);
        Assert.Equal(With("a", "x").Match.L3, With("b", "y").Match.L3);
        Assert.NotEqual(With("a", "x").Match.L2, With("a", "y").Match.L2);
    }
}
