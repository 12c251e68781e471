using Caisson.Gateway.Tests.Harness;
using Caisson.MockModel;
using Caisson.MockModel.Scripts;

namespace Caisson.Gateway.Tests.Mock;

public sealed class MockScriptTests
{
    [Theory]
    [InlineData("turns:\n  - say: a\n    repaet: 4\n", "s.yaml:3: 'turns[0].repaet': unknown key; allowed: say, call, delay, pace, fail, usage, repeat, turns")]
    [InlineData("turns:\n  - say: a\nmodle: x\n", "s.yaml:3: 'modle': unknown key; allowed: model, match, turns")]
    [InlineData("scripts:\n  - model: a\n", "s.yaml:2: 'scripts[0]': turns is missing")]
    [InlineData("scripts: []\n", "s.yaml:1: 'scripts': expected a list of at least one, found an empty one")]
    [InlineData("turns: hello\n", "s.yaml:1: 'turns': expected a list of at least one, found 'hello'")]
    [InlineData("hello\n", "s.yaml:1: expected a map, found 'hello'; allowed keys: model, match, turns")]
    [InlineData("", "s.yaml:1: expected one document, found 0")]
    [InlineData("turns:\n  - {}\n", "s.yaml:2: 'turns[0]': a turn must say or call something; allowed: say, call, delay, pace, fail, usage, repeat, turns")]
    [InlineData("turns:\n  - say:\n", "s.yaml:2: 'turns[0].say': expected a text, found nothing")]
    [InlineData("turns:\n  - say: [a]\n", "s.yaml:2: 'turns[0].say': expected a text, found a list")]
    [InlineData("turns:\n  - say: a\n    delay: 200\n", "s.yaml:3: 'turns[0].delay': expected a time of at most an hour, such as 200ms, 2s or 1m, found '200'")]
    [InlineData("turns:\n  - say: a\n    repeat: 0\n", "s.yaml:3: 'turns[0].repeat': expected 1 to 1000000 or forever, found '0'")]
    [InlineData("turns:\n  - say: a\n    repeat: [1]\n", "s.yaml:3: 'turns[0].repeat': expected 1 to 1000000 or forever, found a list")]
    [InlineData("turns:\n  - say: turn {{trun}}\n", "s.yaml:2: 'turns[0].say': '{{trun}}' is unknown; allowed: {{turn}}, {{iteration}}, {{input}}")]
    [InlineData("turns:\n  - call: { arguments: {} }\n", "s.yaml:2: 'turns[0].call': name is missing: the tool to call")]
    [InlineData("turns:\n  - call:\n      - name: a\n      - nmae: b\n", "s.yaml:4: 'turns[0].call[1].nmae': unknown key; allowed: name, arguments, id")]
    [InlineData("turns:\n  - call: { name: a, arguments: [1] }\n", "s.yaml:2: 'turns[0].call.arguments': expected a map, or the raw text, found a list")]
    [InlineData("turns:\n  - say: a\n    fail: { times: 2 }\n", "s.yaml:3: 'turns[0].fail': expected one of status, cut, hang, malformed; found none")]
    [InlineData("turns:\n  - say: a\n    fail: { cut: true, hang: true }\n", "s.yaml:3: 'turns[0].fail': expected one of status, cut, hang, malformed; found cut and hang")]
    [InlineData("turns:\n  - say: a\n    fail: { status: 200 }\n", "s.yaml:3: 'turns[0].fail.status': expected a whole number from 400 to 599, found '200'")]
    [InlineData("turns:\n  - say: a\n    fail: { hang: true, retry_after: 1 }\n", "s.yaml:3: 'turns[0].fail.retry_after': goes with status only")]
    [InlineData("turns:\n  - say: a\n    fail: { cut: -1 }\n", "s.yaml:3: 'turns[0].fail.cut': expected true or a whole number from 0 to 100000, found '-1'")]
    [InlineData("turns:\n  - say: a\n    usage: much\n", "s.yaml:3: 'turns[0].usage': expected none or a map, found 'much'")]
    [InlineData("turns:\n  - say: a\n    usage: { input: -1 }\n", "s.yaml:3: 'turns[0].usage.input': expected a whole number from 0 to 1000000000000000, found '-1'")]
    [InlineData("turns:\n  - repeat: 2\n    say: x\n    turns: [{ say: a }]\n", "s.yaml:3: 'turns[0].say': stands beside 'turns'; a group has only repeat and turns")]
    [InlineData("match: { user: x }\nturns: [{ say: a }]\n", "s.yaml:1: 'match.user': unknown key; allowed: system, input, last, tool, wire, request")]
    [InlineData("match: { wire: chat }\nturns: [{ say: a }]\n", "s.yaml:1: 'match.wire': expected one of openai.chat, openai.responses, anthropic, gemini, openai.embeddings; found 'chat'")]
    [InlineData("match: { wire: [] }\nturns: [{ say: a }]\n", "s.yaml:1: 'match.wire': expected a list of at least one, found an empty one")]
    [InlineData("match: { request: 0 }\nturns: [{ say: a }]\n", "s.yaml:1: 'match.request': expected a whole number from 1 to 1000000, found '0'")]
    [InlineData("turns:\n  - say: a\n    pace: fast\n", "s.yaml:3: 'turns[0].pace': expected a time of at most an hour, such as 200ms, 2s or 1m, found 'fast'")]
    [InlineData("turns:\n  - say: a\n    fail: { cut: true, after: 1 }\n", "s.yaml:3: 'turns[0].fail.after': goes with status only")]
    [InlineData("turns:\n  - say: a\n    fail: { hang: no }\n", "s.yaml:3: 'turns[0].fail.hang': expected true or a whole number from 0 to 100000, found 'no'")]
    [InlineData("turns:\n  - say: a\n    usage: { write: 1 }\n", "s.yaml:3: 'turns[0].usage.write': unknown key; allowed: input, output, cached, written, reasoning, total")]
    public void A_mistake_is_told_with_file_line_key_and_what_is_allowed(string text, string message) =>
        Assert.Equal(message, Refused(text));

    [Theory]
    [InlineData("turns:\n  - say: a\n    say: b\n")]
    [InlineData("turns: [\n")]
    [InlineData("turns:\n\t- say: a\n")]
    public void Broken_yaml_is_told_with_its_line(string text)
    {
        var message = Refused(text);

        Assert.Matches(@"\As\.yaml:\d+: no valid YAML: ", message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void A_bomb_of_aliases_is_refused()
    {
        var levels = Enumerable.Range(1, 12).Select(n => $"  a{n}: &a{n} [{string.Join(", ", Enumerable.Repeat($"*a{n - 1}", 10))}]");

        Assert.Contains("a script has at most", Refused("x:\n  a0: &a0 [y]\n" + string.Join('\n', levels)), StringComparison.Ordinal);
        Assert.Contains("a script has at most", Refused(new string('[', 100) + new string(']', 100)), StringComparison.Ordinal);
        Assert.Contains("at most 1 MiB", Refused(new string(' ', 2 << 20)), StringComparison.Ordinal);
    }

    [Fact]
    public void Turns_repeat_alone_and_in_groups()
    {
        var script = Rig.Parse("""
            turns:
              - say: first
              - repeat: 2
                turns:
                  - say: a
                  - say: b
                    repeat: 3
              - say: end
            """).Scripts[0];

        var played = Enumerable.Range(0, 11).Select(n => script.At(n)).Select(t => t is var (reply, iteration) ? $"{reply.Say}{iteration}" : "-");

        Assert.Equal(["first1", "a1", "b1", "b2", "b3", "a2", "b1", "b2", "b3", "end1", "-"], played);
    }

    [Fact]
    public void What_repeats_for_ever_has_no_end()
    {
        var script = Rig.Parse("turns: [{ say: once }, { repeat: forever, turns: [{ say: a }, { say: b, repeat: forever }] }, { say: never }]").Scripts[0];

        Assert.Equal("once", script.At(0)?.Reply.Say);
        Assert.Equal("a", script.At(1)?.Reply.Say);
        Assert.Equal("b", script.At(1_000_000_000)?.Reply.Say);
    }

    [Fact]
    public void Arguments_keep_their_types_and_what_is_filled_in_is_escaped()
    {
        var reply = Rig.Parse("""
            turns:
              - call:
                  - name: a
                    arguments: { text: "{{input}}", n: 3, f: 1.5e3, yes: true, none: null, quoted: "3", list: [1, x], date: 2026-01-01, go: "docker ps --format '{{.Names}}'" }
                  - name: b
                    arguments: '{"raw": {{turn}}, "i": {{iteration}}'
                  - { name: c, id: mine }
            """).Scripts[0].At(0)!.Value.Reply;
        var conversation = Asked("m", input: "say \"hi\"\n");

        var calls = MockAnswer.Make(reply, conversation, "call", 7, 2).Calls;

        Assert.Equal("""{"text":"say \"hi\"\n","n":3,"f":1.5e3,"yes":true,"none":null,"quoted":"3","list":[1,"x"],"date":"2026-01-01","go":"docker ps --format '{{.Names}}'"}""", calls[0].Arguments);
        Assert.Equal("""{"raw": 7, "i": 2""", calls[1].Arguments);
        Assert.Equal(("mine", "{}", "call_7_1"), (calls[2].Id, calls[2].Arguments, calls[0].Id));
    }

    [Fact]
    public void The_first_script_that_takes_the_conversation_answers_it()
    {
        var script = Rig.Parse("""
            scripts:
              - model: [a, b]
                match: { input: report, system: polite }
                turns: [{ say: one }]
              - match: { last: error }
                turns: [{ say: two }]
              - model: a
                turns: [{ say: three }]
            """);

        Assert.Equal("one", Say("b", system: "be polite", input: "a report"));
        Assert.Equal("two", Say("b", last: "an error"));
        Assert.Equal("three", Say("a", input: "a report"));
        Assert.Null(Say("b"));
        Assert.Equal(["a", "b"], script.Models);

        string? Say(string model, string system = "", string input = "", string last = "") =>
            script.For(Asked(model, system, input, last), 1)?.At(0)?.Reply.Say;
    }

    [Fact]
    public void A_script_may_be_for_a_wire_a_tool_result_or_the_nth_request()
    {
        var script = Rig.Parse("""
            scripts:
              - match: { request: 3 }
                turns: [{ say: third }]
              - match: { wire: [gemini, anthropic], tool: denied }
                turns: [{ say: refused }]
              - match: { wire: openai.embeddings }
                turns: [{ say: vectors }]
              - turns: [{ say: any }]
            """);

        Assert.Equal("third", Say(Asked("m"), 3));
        Assert.Equal("refused", Say(Asked("m", tool: "access denied", wire: "gemini"), 4));
        Assert.Equal("any", Say(Asked("m", tool: "access denied"), 5));
        Assert.Equal("any", Say(Asked("m", wire: "anthropic"), 6));
        Assert.Equal("vectors", Say(Asked("m", wire: "openai.embeddings"), 7));
        Assert.Null(Say(Asked("m", wire: "openai.embeddings"), 8, Rig.Parse("turns: [{ say: any }]")));

        string? Say(Conversation conversation, long number, MockScript? other = null) => (other ?? script).For(conversation, number)?.At(0)?.Reply.Say;
    }

    private static Conversation Asked(string model, string system = "", string input = "", string last = "", string tool = "", string wire = "openai.chat") =>
        new(wire, model, system, input, last, tool, 0, new string('0', 32), 1, StreamForm.None, default);

    private static string Refused(string text) => Assert.IsType<MockScriptOutcome.Refused>(MockScript.Parse(text, "s.yaml")).Message;
}
