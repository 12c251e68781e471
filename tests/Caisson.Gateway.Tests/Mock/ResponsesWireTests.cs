using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Mock;

public sealed class ResponsesWireTests
{
    private const string Path = "/v1/responses";

    [Fact]
    public async Task A_response_has_a_message_its_calls_and_usage()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var response = await MockClient.PostJsonAsync(rig, Path, """{"model":"m","input":"go","instructions":"be brief","temperature":0.5}""");

        Assert.Matches("^resp_[0-9a-f]{32}000001$", response.Text("id"));
        Assert.Equal("completed be brief 0.5", $"{response.Text("status")} {response.Text("instructions")} {response.GetProperty("temperature").GetRawText()}");
        var output = response.GetProperty("output");
        Assert.Equal(["message", "function_call", "function_call"], output.EnumerateArray().Select(i => i.Text("type")));
        Assert.Equal(MockClient.Said, output[0].At("content", 0).Text("text"));
        Assert.Equal($"call_1_1 shell {MockClient.Command} completed", $"{output[1].Text("call_id")} {output[1].Text("name")} {output[1].Text("arguments")} {output[1].Text("status")}");
        Assert.Equal(
            """{"input_tokens":1000,"input_tokens_details":{"cached_tokens":200},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":50},"total_tokens":1300}""",
            response.GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task A_stream_has_every_event_in_its_order_and_ends_with_the_whole_response()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var whole = await MockClient.PostAsync(rig, Path, """{"model":"m","input":"go"}""");
        var events = MockClient.Events(await MockClient.PostAsync(rig, Path, """{"model":"m","input":"go","stream":true}"""));

        Assert.All(events, e => Assert.Equal(e.Name, e.Data.Text("type")));
        Assert.Equal(Enumerable.Range(0, events.Length), events.Select(e => e.Data.GetProperty("sequence_number").GetInt32()));
        string[] call = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"];
        Assert.Equal(
            ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done", .. call, .. call, "completed"],
            Distinct(events.Select(e => e.Name!["response.".Length..])));
        Assert.Equal(MockClient.Said, string.Concat(events.Where(e => e.Name == "response.output_text.delta").Select(e => e.Data.Text("delta"))));
        Assert.Equal(MockClient.Command, string.Concat(events.Where(e => e.Name == "response.function_call_arguments.delta" && e.Data.GetProperty("output_index").GetInt32() == 1).Select(e => e.Data.Text("delta"))));
        Assert.Equal(whole, events[^1].Data.GetProperty("response").GetRawText());

        static IEnumerable<string> Distinct(IEnumerable<string> names) => names.Aggregate(new List<string>(), (list, name) =>
        {
            if (list.LastOrDefault() != name)
                list.Add(name);
            return list;
        });
    }

    [Theory]
    [InlineData("""[{"role":"user","content":"go"},{"type":"reasoning","id":"r"},{"role":"assistant","content":[{"type":"output_text","text":"x"}]},{"type":"function_call","call_id":"a"},{"type":"function_call","call_id":"b"},{"type":"function_call_output","call_id":"a","output":"1"},{"type":"function_call_output","call_id":"b","output":"2"}]""", 2)]
    [InlineData("""[{"role":"user","content":"go"},{"type":"item_reference","id":"x"},{"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"1"}]},{"type":"custom_tool_call","call_id":"c"},{"type":"custom_tool_call_output","call_id":"c","output":"2"}]""", 3)]
    public async Task What_the_model_made_in_a_row_is_one_turn(string input, int turn)
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        await MockClient.PostAsync(rig, Path, $$"""{"model":"m","input":{{input}}}""");

        Assert.Equal(turn, rig.LogLines()[^1].GetProperty("turn").GetInt32());
        Assert.Equal("openai.responses", rig.LogLines()[^1].Text("wire"));
    }

    [Fact]
    public async Task A_request_that_names_the_response_before_it_goes_on_there()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);
        await using var later = await Rig.StartAsync(MockClient.Script);

        var first = await MockClient.PostJsonAsync(rig, Path, """{"model":"m","input":"go"}""");
        var second = await MockClient.PostJsonAsync(later, Path, $$"""{"model":"m","previous_response_id":"{{first.Text("id")}}","input":[{"type":"function_call_output","call_id":"call_1_1","output":"x"}]}""");
        var foreign = await MockClient.PostJsonAsync(rig, Path, """{"model":"m","previous_response_id":"resp_else","input":"go"}""");

        Assert.Equal("""{"command":"make"}""", second.At("output", 0).Text("arguments"));
        Assert.Contains("not one of this server's", foreign.GetProperty("error").Text("message"), StringComparison.Ordinal);
    }
}
