using System.Text;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

/// <summary>A word of the gateway's at the end of a conversation, on each wire; the client's own bytes stay.</summary>
public sealed class SayTests
{
    private const string Note = "[caisson: \"stop\" that]";

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"hi"}]}""", """{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"user","content":"[caisson: \"stop\" that]"}]}""")]
    [InlineData("/v1/messages", """{"model":"m","max_tokens":9,"messages":[ {"role":"user","content":"hi"} ]}""", """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"user","content":"[caisson: \"stop\" that]"}]}""")]
    [InlineData("/v1/responses", """{"model":"m","input":"hi \u00fc"}""", """{"model":"m","input":[{"role":"user","content":"hi \u00fc"},{"role":"user","content":"[caisson: \"stop\" that]"}]}""")]
    [InlineData("/v1/responses", """{"model":"m","input":[{"role":"user","content":"hi"}]}""", """{"model":"m","input":[{"role":"user","content":"hi"},{"role":"user","content":"[caisson: \"stop\" that]"}]}""")]
    [InlineData("/v1beta/models/m:generateContent", """{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}""", """{"contents":[{"role":"user","parts":[{"text":"hi"}]},{"role":"user","parts":[{"text":"[caisson: \"stop\" that]"}]}]}""")]
    public void It_stands_at_the_end(string path, string body, string expected)
    {
        var (field, element) = WireRig.Call(path, body).Say(Note)!.Value;

        WireRig.SameJson(expected, Encoding.UTF8.GetString(Body.Append(Encoding.UTF8.GetBytes(body), field, element).Span));
    }

    [Fact]
    public void Where_there_is_no_conversation_there_is_nothing_to_say() =>
        Assert.Null(WireRig.Call("/v1/embeddings", """{"model":"m","input":"hi"}""").Say(Note));
}
