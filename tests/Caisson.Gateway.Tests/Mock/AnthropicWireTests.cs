using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Mock;

public sealed class AnthropicWireTests
{
    private const string Path = "/v1/messages?beta=true";
    private const string First = """{"model":"m","max_tokens":100,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"go"}]""";

    [Fact]
    public async Task A_message_has_its_blocks_and_three_kinds_of_input()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var message = await MockClient.PostJsonAsync(rig, Path, First + "}");

        Assert.Matches("^msg_[0-9a-f]{32}$", message.Text("id"));
        Assert.Equal("message assistant tool_use", $"{message.Text("type")} {message.Text("role")} {message.Text("stop_reason")}");
        Assert.Equal(MockClient.Said, message.At("content", 0).Text("text"));
        Assert.Equal($$"""{"type":"tool_use","id":"toolu_1_1","name":"shell","input":{{MockClient.Command}}}""", message.At("content", 1).GetRawText());
        Assert.Equal("""{"input_tokens":700,"cache_creation_input_tokens":100,"cache_read_input_tokens":200,"output_tokens":300}""", message.GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task A_stream_builds_the_same_message_and_its_last_usage_holds_all()
    {
        await using var rig = await Rig.StartAsync(MockClient.Script);

        var whole = await MockClient.PostJsonAsync(rig, Path, First + "}");
        var events = MockClient.Events(await MockClient.PostAsync(rig, Path, First + ""","stream":true}"""));

        Assert.All(events, e => Assert.Equal(e.Name, e.Data.Text("type")));
        Assert.Equal(["message_start", "ping"], events[..2].Select(e => e.Name));
        Assert.Equal(["message_delta", "message_stop"], events[^2..].Select(e => e.Name));
        Assert.Equal(1, events[0].Data.GetProperty("message").GetProperty("usage").GetProperty("output_tokens").GetInt32());
        Assert.Equal(whole.GetProperty("usage").GetRawText(), events[^2].Data.GetProperty("usage").GetRawText());
        Assert.Equal(whole.Text("stop_reason"), events[^2].Data.GetProperty("delta").Text("stop_reason"));
        for (var i = 0; i < 3; i++)
        {
            var block = events.Where(e => e.Data.TryGetProperty("index", out var index) && index.GetInt32() == i).ToArray();
            Assert.Equal(("content_block_start", "content_block_stop"), (block[0].Name, block[^1].Name));
            var (member, kind) = i == 0 ? ("text", "text_delta") : ("partial_json", "input_json_delta");
            Assert.All(block[1..^1], e => Assert.Equal(kind, e.Data.GetProperty("delta").Text("type")));
            var grown = string.Concat(block[1..^1].Select(e => e.Data.GetProperty("delta").Text(member)));
            Assert.Equal(i == 0 ? MockClient.Said : whole.At("content", i).GetProperty("input").GetRawText(), grown);
        }
    }

    [Fact]
    public async Task Results_and_words_of_one_message_are_both_read()
    {
        await using var rig = await Rig.StartAsync("""
            scripts:
              - match: { tool: denied, last: and now, input: go, system: careful }
                turns: [{ say: first }, { say: seen }]
              - turns: [{ say: unseen, repeat: forever }]
            """);

        var message = await MockClient.PostJsonAsync(rig, Path, """
            {"model":"m","max_tokens":9,"system":"be careful","messages":[{"role":"user","content":[{"type":"text","text":"go"}]},
            {"role":"assistant","content":[{"type":"text","text":"x"}]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"access denied"}]},{"type":"text","text":"and now?"}]}]}
            """);

        Assert.Equal("seen", message.At("content", 0).Text("text"));
        Assert.Equal("end_turn", message.Text("stop_reason"));
    }

    [Fact]
    public async Task A_count_is_free_and_equals_what_the_call_will_report()
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: ok }]");

        var count = await MockClient.PostJsonAsync(rig, "/v1/messages/count_tokens", First + "}");
        var message = await MockClient.PostJsonAsync(rig, Path, First + "}");

        Assert.Equal(message.GetProperty("usage").GetProperty("input_tokens").GetRawText(), count.GetProperty("input_tokens").GetRawText());
        Assert.Equal(["request", "free", "request", "answered"], rig.LogLines().Select(l => l.Text("event")));
        Assert.Equal(1, rig.PaidCalls());
    }

    [Fact]
    public async Task Broken_arguments_arrive_as_they_were_written()
    {
        await using var rig = await Rig.StartAsync("turns: [{ call: { name: a, arguments: '{\"half' } }]");

        var whole = await MockClient.PostJsonAsync(rig, Path, First + "}");
        var events = MockClient.Events(await MockClient.PostAsync(rig, Path, First + ""","stream":true}"""));

        Assert.Equal("{\"half", whole.At("content", 0).Text("input"));
        Assert.Equal("{\"half", string.Concat(events.Where(e => e.Name == "content_block_delta").Select(e => e.Data.GetProperty("delta").Text("partial_json"))));
    }
}
