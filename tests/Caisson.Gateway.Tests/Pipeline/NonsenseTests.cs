using Caisson.Contracts;
using Caisson.Core.Models;
using Caisson.Gateway.OpenAi;
using Caisson.Gateway.Tests.Harness;
using CsCheck;

namespace Caisson.Gateway.Tests.Pipeline;

public sealed class NonsenseTests
{
    private const string Good = """{"id":"a","model":"m-1","choices":[{"message":{"content":"hi","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}""";

    [Theory]
    [InlineData("", "no JSON, 0 bytes")]
    [InlineData("<html><body>502</body></html>", "no JSON, 29 bytes that begin: <html>")]
    [InlineData("[]", "the answer: expected an object, found a list")]
    [InlineData("null", "the answer: expected an object, found null")]
    [InlineData("{}", "no choices")]
    [InlineData("""{"error":{"message":"over quota"}}""", "an error: {\"message\":\"over quota\"}")]
    [InlineData("""{"choices":{}}""", "choices: expected a list, found an object")]
    [InlineData("""{"choices":[]}""", "choices: expected at least one, found an empty list")]
    [InlineData("""{"choices":[7]}""", "choices[0]: expected an object, found a number")]
    [InlineData("""{"choices":[{}]}""", "choices[0]: no message")]
    [InlineData("""{"choices":[{"message":null}]}""", "choices[0].message: expected an object, found null")]
    [InlineData("""{"choices":[{"message":{"content":5}}]}""", "choices[0].message.content: expected a text, found a number")]
    [InlineData("""{"choices":[{"message":{"content":[{"type":"image"}]}}]}""", "choices[0].message.content[].type: expected text, found 'image'")]
    [InlineData("""{"choices":[{"message":{"content":"\ud800"}}]}""", "a text that is no valid Unicode")]
    [InlineData("""{"choices":[{"message":{"content":"x"},"finish_reason":1}]}""", "choices[0].finish_reason: expected a text, found a number")]
    [InlineData("""{"choices":[{"message":{"tool_calls":{}}}]}""", "choices[0].message.tool_calls: expected a list, found an object")]
    [InlineData("""{"choices":[{"message":{"tool_calls":[{"id":"1"}]}}]}""", "choices[0].message.tool_calls[0].function: missing")]
    [InlineData("""{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}""", "choices[0].message.tool_calls[0].function.name: expected 1 to 256 characters, found none")]
    [InlineData("""{"choices":[{"message":{"tool_calls":[{"function":{"name":""}}]}}]}""", "choices[0].message.tool_calls[0].function.name: expected 1 to 256 characters, found 0")]
    [InlineData("""{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":[1]}}]}}]}""", "choices[0].message.tool_calls[0].function.arguments: expected a text, found a list")]
    [InlineData("""{"choices":[{"message":{"tool_calls":[{"type":"custom"}]}}]}""", "choices[0].message.tool_calls[0].type: expected function, found 'custom'")]
    public async Task Nonsense_is_told_by_what_was_found_where(string body, string words)
    {
        await using var rig = await Rig.StartAsync("turns: [{ say: x }]");
        using var handler = Canned.Json(body);

        var outcome = await rig.AskAsync(Rig.Request(ModelMessage.User("x")) with { Retry = new RetrySettings { Attempts = 1 } }, handler);

        Assert.EndsWith("malformed: provider mock answered 200 with what is no chat completion: " + words, Cut(Assert.IsType<ModelOutcome.Exhausted>(outcome).Failure.Message, words), StringComparison.Ordinal);
        Assert.Equal(["begin", "fail:InDoubt"], rig.Log.Events);

        static string Cut(string message, string words)
        {
            var at = message.IndexOf(words, StringComparison.Ordinal);
            return at < 0 ? message : message[..(at + words.Length)];
        }
    }

    [Fact]
    public void Too_many_calls_and_too_deep_a_nesting_are_refused()
    {
        var call = """{"function":{"name":"f","arguments":""}}""";
        Assert.Contains("200 calls, at most 128", Problem("""{"choices":[{"message":{"tool_calls":[CALLS]}}]}""".Replace("CALLS", string.Join(',', Enumerable.Repeat(call, 200)), StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Contains("no JSON", Problem(new string('[', 100_000)), StringComparison.Ordinal);
    }

    [Fact]
    public void What_wide_spread_servers_leave_out_is_made_up_for()
    {
        var parsed = Understood("""{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"a","arguments":{"x":1}}},{"id":"","function":{"name":"b"}}]}}]}""");

        Assert.Equal([new ToolCall("call_0", "a", """{"x":1}"""), new ToolCall("call_1", "b", "")], parsed.Answer.Calls);
        Assert.Equal(("", "tool_calls", "asked", (string?)null), (parsed.Answer.Text, parsed.Answer.FinishReason, parsed.Answer.Model, parsed.Answer.ResponseId));
        Assert.Null(parsed.Usage);
    }

    [Fact]
    public void Thoughts_are_left_out_and_a_refusal_is_the_text()
    {
        Assert.Equal("ab", Understood("""{"choices":[{"message":{"content":[{"type":"thinking"},{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}""").Answer.Text);
        Assert.Equal("I will not", Understood("""{"choices":[{"message":{"content":null,"refusal":"I will not"}}]}""").Answer.Text);
    }

    [Theory]
    [InlineData("""{"prompt_tokens":0,"completion_tokens":0}""")]
    [InlineData("""{"prompt_tokens":-5,"completion_tokens":1}""")]
    [InlineData("""{"prompt_tokens":1e30,"completion_tokens":1}""")]
    [InlineData("""{"prompt_tokens":900000000000,"completion_tokens":1}""")]
    [InlineData("""{"prompt_tokens":"9","completion_tokens":1}""")]
    [InlineData("""{"prompt_tokens":9}""")]
    [InlineData("7")]
    [InlineData("null")]
    public void Figures_that_cannot_be_are_none(string usage) =>
        Assert.Null(Understood("""{"choices":[{"message":{"content":"x"}}],"usage":USAGE}""".Replace("USAGE", usage, StringComparison.Ordinal)).Usage);

    [Fact]
    public void Cached_tokens_never_outnumber_the_prompt()
    {
        var usage = Understood("""{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":50,"cache_write_tokens":50}}}""").Usage!;

        Assert.Equal((9, 0), (usage.Cached, usage.CacheWrite));
    }

    /// <summary>A good answer with random bytes changed is understood or refused; nothing is thrown.</summary>
    [Fact]
    public void No_answer_throws() =>
        Gen.Select(Gen.Int[0, Good.Length - 1], Gen.Byte).Array[1, 6].Sample(changes =>
        {
            var bytes = System.Text.Encoding.UTF8.GetBytes(Good);
            foreach (var (at, value) in changes)
                bytes[at] = value;
            _ = ChatAnswer.Parse(bytes, "asked");
        });

    private static ChatParse.Understood Understood(string body) =>
        Assert.IsType<ChatParse.Understood>(ChatAnswer.Parse(System.Text.Encoding.UTF8.GetBytes(body), "asked"));

    private static string Problem(string body) =>
        Assert.IsType<ChatParse.Nonsense>(ChatAnswer.Parse(System.Text.Encoding.UTF8.GetBytes(body), "asked")).Problem;
}
