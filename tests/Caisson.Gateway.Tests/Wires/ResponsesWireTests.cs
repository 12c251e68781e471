using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

public sealed class ResponsesWireTests
{
    private const string Path = "/v1/responses";
    private const string Plain = """{"model":"gpt-5","input":"hi"}""";
    private const string Streamed = """{"model":"gpt-5","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"stream":true}""";

    private static readonly string Stream = """
        event: response.created
        data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","created_at":7,"model":"gpt-5-x","status":"in_progress","usage":null}}

        event: response.output_text.delta
        data: {"type":"response.output_text.delta","sequence_number":1,"item_id":"m","delta":"Hé"}

        event: response.completed
        data: {"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","model":"gpt-5-x","status":"completed","error":null,"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3}}}


        """.ReplaceLineEndings("\n");

    [Fact]
    public void A_bound_is_put_in_where_there_is_none()
    {
        WireRig.SameJson("""{"model":"up-1","input":"hi","max_output_tokens":100}""", WireRig.Call(Path, Plain).Sent());
        WireRig.SameJson("""{"model":"up-1","input":"hi","max_output_tokens":100}""", WireRig.Call(Path, """{"model":"gpt-5","input":"hi","max_output_tokens":900}""").Sent());
        Assert.Equal("/responses", WireRig.Call(Path, Plain).For("u", 1).Path);
    }

    [Fact]
    public void A_stream_reads_the_same_wherever_it_is_cut()
    {
        var call = WireRig.Call(Path, Streamed);

        WireRig.SameWhereverCut(call, Stream);
        var (client, end, outputBytes) = WireRig.Answer(call, Stream);
        Assert.Equal(Stream, client);
        Assert.Equal(new AnswerEnd(true, new TokenUsage(9, 3, 4), "gpt-5-x", null), end);
        Assert.Equal(3, outputBytes);
    }

    [Theory]
    [InlineData("""data: {"type":"response.failed","response":{"status":"failed","error":{"message":"no"}}}""", "an error: no")]
    [InlineData("""data: {"type":"error","message":"no"}""", "an error: no")]
    [InlineData("""data: {"type":"response.created","response":{}}""", "the stream ended before its end")]
    [InlineData("""{"status":"failed","output":[],"error":{"message":"no"}}""", "an error: no")]
    [InlineData("""{"status":"in_progress","output":[]}""", "status in_progress")]
    [InlineData("{}", "no output")]
    public void What_is_not_whole_says_why(string answer, string problem)
    {
        var end = WireRig.Answer(WireRig.Call(Path, Streamed), answer + "\n\n").End;

        Assert.Equal((false, problem), (end.IsWhole, end.Problem));
    }

    [Fact]
    public void An_answer_that_reached_its_bound_is_whole() =>
        Assert.True(WireRig.Answer(WireRig.Call(Path, Streamed), "data: {\"type\":\"response.incomplete\",\"response\":{}}\n\n").End.IsWhole);

    [Fact]
    public void Cutting_ends_the_response()
    {
        for (var length = 0; length < Stream.IndexOf("event: response.completed", StringComparison.Ordinal); length++)
        {
            var events = WireRig.Data(WireRig.CutAfter(WireRig.Call(Path, Streamed), Stream, length)).Select(WireRig.Parse).ToList();

            Assert.Equal("response.created", events[0].GetProperty("type").GetString());
            Assert.Equal("response.incomplete", events[^1].GetProperty("type").GetString());
            Assert.Equal(Enumerable.Range(0, events.Count), events.Select(e => e.GetProperty("sequence_number").GetInt32()));
        }
    }

    [Theory]
    [InlineData("""{"background":true}""", "background")]
    [InlineData("""{"previous_response_id":"resp_1"}""", "previous_response_id")]
    [InlineData("""{"conversation":"conv_1"}""", "conversation")]
    [InlineData("""{"prompt":{"id":"p"}}""", "prompt")]
    [InlineData("""{"tools":[{"type":"web_search"}]}""", "tools[0].type 'web_search'")]
    [InlineData("""{"tools":[{"type":"mcp","server_url":"https://x"}]}""", "tools[0].type 'mcp'")]
    [InlineData("""{"tools":[{"type":"file_search"}]}""", "tools[0].type 'file_search'")]
    [InlineData("""{"tools":[{"type":"code_interpreter"}]}""", "tools[0].type 'code_interpreter'")]
    [InlineData("""{"tools":[{"type":"shell","environment":{"type":"container_auto"}}]}""", "tools[0].type 'shell'")]
    [InlineData("""{"tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]}""", "tools[0].tools[0].type 'web_search'")]
    public void What_runs_at_the_provider_is_denied_by_name(string extra, string field)
    {
        var error = WireRig.Refusal(Path, $"{Plain[..^1]},{extra[1..]}");

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(field + ": ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"type":"item_reference","id":"m"}""", "input[0]")]
    [InlineData("""{"role":"user","content":[{"type":"input_image","image_url":"https://x"}]}""", "input[0].content[0].image_url")]
    [InlineData("""{"role":"user","content":[{"type":"input_image","file_id":"f"}]}""", "input[0].content[0].file_id")]
    [InlineData("""{"role":"user","content":[{"type":"input_file","file_url":"https://x"}]}""", "input[0].content[0].file_url")]
    [InlineData("""{"type":"function_call_output","call_id":"a","output":[{"type":"input_image","image_url":"https://x"}]}""", "input[0].output[0].image_url")]
    [InlineData("""{"type":"tool_search_output","tools":[{"type":"mcp"}]}""", "input[0].tools[0].type 'mcp'")]
    [InlineData("""{"type":"mcp_call"}""", "input[0].type 'mcp_call'")]
    public void Remote_content_is_denied_by_place(string item, string place)
    {
        var error = WireRig.Refusal(Path, $$"""{"model":"m","input":[{{item}}]}""");

        Assert.Equal(WireProblem.Denied, error.Problem);
        Assert.StartsWith(place + ": ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "/v1/responses/resp_1")]
    [InlineData("DELETE", "/v1/responses/resp_1")]
    [InlineData("POST", "/v1/responses/resp_1/cancel")]
    public void What_refers_to_a_response_is_denied(string method, string path)
    {
        var head = new WireHead(method, path, "", null);

        Assert.Equal(WireProblem.Denied, Assert.IsType<WireRead.Refused>(Gateway.Wires.Wires.Route(head)!.Read(head, default)).Error.Problem);
    }

    [Fact]
    public void Client_ids_are_hints_and_turns_are_told()
    {
        static WireCall With(string id, string wall) => WireRig.Call(
            Path,
            $$$"""{"model":"m","instructions":"s","client_metadata":{"x":"{{{id}}}"},"input":[{"id":"{{{id}}}","role":"user","content":"hi"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"Chunk ID: ab12cd\nWall time: {{{wall}}} seconds"}]}""",
            agent: "codex_exec/1");

        Assert.NotEqual(With("a", "1.5").Match.L0, With("b", "1.5").Match.L0);
        Assert.Equal(With("a", "1.5").Match.L1, With("b", "1.5").Match.L1);
        Assert.Equal(With("a", "1.5").Match.L2, With("b", "0.25").Match.L2);
        Assert.Equal(4, With("a", "1.5").Match.Prefixes.Count);
        var turn = Assert.Single(With("a", "1").Turns);
        Assert.Equal("f", turn.Tool);
        Assert.NotNull(turn.Result);
    }
}
