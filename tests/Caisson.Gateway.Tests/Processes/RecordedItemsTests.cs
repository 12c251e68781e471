using System.Text;
using System.Text.Json;
using Caisson.Core.Journal;
using Caisson.Gateway.Processes;
using Caisson.Gateway.Wires;
using Caisson.Gateway.Wires.Responses;

namespace Caisson.Gateway.Tests.Processes;

/// <summary>A client may name what this run was answered, and nothing else that the provider keeps.</summary>
public sealed class RecordedItemsTests
{
    private const string Message = """{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a \"word\" "}]}""";
    private const string Call = """{"id":"fc_1","type":"function_call","call_id":"c","name":"f","arguments":"{}"}""";

    private readonly List<StepRecord> _records = [];

    [Fact]
    public void Items_of_whole_and_of_streamed_answers_stand_in_place_of_their_names()
    {
        Record("application/json", $$"""{"id":"resp_1","output":[{{Message}}]}""");
        var items = new RecordedItems(() => _records);
        Assert.Equal([Message, """{"type":"item_reference","id":"fc_1"}"""], Inputs(items.Fill(ResponsesWire.Path, Asking("msg_1", "fc_1"))));

        Record("text/event-stream; charset=utf-8", $"event: response.output_item.done\ndata: {{\"type\":\"response.output_item.done\",\"item\":{Call}}}\n\n");
        Assert.Equal([Message, Call], Inputs(items.Fill(ResponsesWire.Path, Asking("msg_1", "fc_1"))));
    }

    [Fact]
    public void What_no_answer_to_the_run_has_stays_a_name_and_is_denied()
    {
        Record("application/json", $$"""{"id":"resp_1","output":[{{Message}}]}""");
        Record("application/json", $$"""{"id":"x","output":[{"id":"other","type":"message"}]}""", wire: "openai.chat");

        var body = new RecordedItems(() => _records).Fill(ResponsesWire.Path, Asking("msg_1", "other"));

        Assert.Equal(WireProblem.Denied, Assert.IsType<WireRead.Refused>(new ResponsesWire().Read(new WireHead("POST", ResponsesWire.Path, "", ""), body)).Error.Problem);
    }

    [Fact]
    public void Names_that_would_make_a_request_too_long_are_not_filled()
    {
        Record("application/json", $$"""{"id":"resp_1","output":[{"id":"long","type":"message","text":"{{new string('a', 1 << 20)}}"}]}""");
        var asking = Asking([.. Enumerable.Repeat("long", 20)]);

        Assert.True(asking.Span.SequenceEqual(new RecordedItems(() => _records).Fill(ResponsesWire.Path, asking).Span));
    }

    [Theory]
    [InlineData("""{"input":[{"type":"item_reference","id":"msg_1"}],"input":[]}""")]
    [InlineData("""{"input":[{"type":"item_reference" """)]
    [InlineData("""["item_reference"]""")]
    [InlineData("""{"input":"item_reference"}""")]
    public void What_is_no_request_stays_as_it_is(string body)
    {
        Record("application/json", $$"""{"id":"resp_1","output":[{{Message}}]}""");

        Assert.Equal(body, Encoding.UTF8.GetString(new RecordedItems(() => _records).Fill(ResponsesWire.Path, Encoding.UTF8.GetBytes(body)).Span));
    }

    private void Record(string contentType, string body, string wire = ResponsesWire.WireName)
    {
        var exchange = new RecordedExchange(wire, 200, contentType, body, null, [Encoding.UTF8.GetByteCount(body)], new MatchKeys("", "", "", "", [], []));
        _records.Add(new StepRecord(_records.Count, new StepKey($"{_records.Count}"), new StepSubject(StepKind.Model, "m", "i", null, ""), exchange.Encode(), null, null));
    }

    private static ReadOnlyMemory<byte> Asking(params string[] ids) =>
        Encoding.UTF8.GetBytes($$"""{"model":"m","input":[{{string.Join(',', ids.Select(id => $$"""{"type":"item_reference","id":"{{id}}"}"""))}}]}""");

    private static IEnumerable<string> Inputs(ReadOnlyMemory<byte> body)
    {
        using var document = JsonDocument.Parse(body);
        return [.. document.RootElement.GetProperty("input").EnumerateArray().Select(i => i.GetRawText())];
    }
}
