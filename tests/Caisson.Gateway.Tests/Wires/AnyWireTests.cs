using System.Buffers;
using System.Text;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires;
using CsCheck;

namespace Caisson.Gateway.Tests.Wires;

public sealed class AnyWireTests
{
    private static readonly (string Path, string Body)[] Good =
    [
        ("/v1/chat/completions", """{"model":"m","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi \u00e9 2026-01-01"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}"""),
        ("/v1/responses", """{"model":"m","instructions":"s","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"x"}],"tools":[{"type":"namespace","tools":[{"type":"function","name":"f"}]}],"max_output_tokens":9}"""),
        ("/v1/messages", """{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"x"}]}]}],"thinking":{"type":"enabled","budget_tokens":5}}"""),
        ("/v1/messages/count_tokens", """{"model":"m","messages":[{"role":"user","content":"hi"}]}"""),
        ("/v1beta/models/m:generateContent", """{"system_instruction":{"parts":[{"text":"s"}]},"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},{"parts":[{"functionResponse":{"name":"f","response":{"a":1}}},{"inlineData":{"mimeType":"image/png","data":"AA"}}]}],"generationConfig":{"maxOutputTokens":9}}"""),
        ("/v1/embeddings", """{"model":"m","input":["a",[1,2]]}"""),
    ];

    private static readonly Gen<(string Path, string Body)> AnyGood = Gen.Int[0, Good.Length - 1].Select(i => Good[i]);

    [Fact]
    public void Good_requests_are_read_and_their_bodies_can_be_sent()
    {
        foreach (var (path, body) in Good)
            Assert.NotEqual(System.Text.Json.JsonValueKind.Undefined, WireRig.Parse(WireRig.Call(path, body).Sent()).ValueKind);
    }

    [Fact]
    public void A_truncated_or_mangled_request_is_refused_or_read_and_never_thrown_at() =>
        Gen.Select(AnyGood, Gen.Int[0, 1000], Gen.Int[0, 1000], Gen.Byte, Gen.Bool).Sample((good, at, length, letter, cut) =>
        {
            var bytes = Encoding.UTF8.GetBytes(good.Body);
            at %= bytes.Length;
            if (cut)
                bytes = bytes[..at];
            else
                bytes.AsSpan(at, Math.Min(length % 4, bytes.Length - at)).Fill(letter);
            Survives(good.Path, bytes);
        }, iter: 20_000);

    [Fact]
    public void A_value_of_another_kind_anywhere_is_refused_or_read()
    {
        string[] others = ["null", "true", "7", "-1e999", "\"x\"", "\"https://x\"", "[]", "{}", "[[]]", "[null]", "{\"type\":7}", "[{\"type\":\"x\"}]"];
        foreach (var (path, body) in Good)
        {
            foreach (var place in Places(WireRig.Parse(body)))
            {
                foreach (var other in others)
                    Survives(path, Encoding.UTF8.GetBytes(body.Replace(place, other, StringComparison.Ordinal)));
            }
        }

        static IEnumerable<string> Places(System.Text.Json.JsonElement element) => element.ValueKind switch
        {
            System.Text.Json.JsonValueKind.Object => element.EnumerateObject().SelectMany(m => Places(m.Value)).Append(element.GetRawText()),
            System.Text.Json.JsonValueKind.Array => element.EnumerateArray().SelectMany(Places).Append(element.GetRawText()),
            _ => [element.GetRawText()],
        };
    }

    [Fact]
    public void Any_bytes_as_an_answer_pass_to_the_client_and_never_throw() =>
        Gen.Select(AnyGood, Gen.OneOf(Gen.Byte.Array[0, 300], AnswerLike), Gen.Int[0, 300]).Sample((good, bytes, cut) =>
        {
            var call = WireRig.Call(good.Path, good.Body);
            var (whole, end) = Follow(call, bytes, bytes.Length);
            var (pieces, same) = Follow(call, bytes, Math.Min(cut, bytes.Length));

            Assert.Equal(whole, pieces);
            Assert.Equal(end, same);
            Assert.True(whole.Length <= bytes.Length);
            Assert.Equal(end.IsWhole, end.Problem is null);
            call.Wire.Follow(call).Cut(new ArrayBufferWriter<byte>());
        }, iter: 10_000);

    [Fact]
    public void The_bound_of_the_input_is_at_least_the_bytes_of_the_body() =>
        Gen.Select(AnyGood, Gen.Int[0, 2000]).Sample((good, blanks) =>
        {
            var body = good.Body + new string(' ', blanks);
            var call = WireRig.Call(good.Path, body);
            Assert.True(!call.IsBilled || call.MostInput > Encoding.UTF8.GetByteCount(body) - blanks);
        });

    [Fact]
    public void A_hash_is_stable_under_order_and_changes_with_any_text() =>
        Gen.Select(Gen.String[0, 20], Gen.String[0, 20]).Where((a, b) => Readable(a) && Readable(b)).Sample((a, b) =>
        {
            var (x, y) = (System.Text.Json.JsonSerializer.Serialize(a), System.Text.Json.JsonSerializer.Serialize(b));
            var one = WireRig.Call("/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":{{x}} }]}""").Match;
            var turned = WireRig.Call("/v1/chat/completions", $$"""{"messages":[{"content":{{x}},"role":"user"}],"model":"m"}""").Match;
            var other = WireRig.Call("/v1/chat/completions", $$"""{"model":"m","messages":[{"role":"user","content":{{y}} }]}""").Match;

            Assert.Equal((one.L0, one.L1, one.L2, one.L3), (turned.L0, turned.L1, turned.L2, turned.L3));
            Assert.Equal(a == b, one.L0 == other.L0);
            Assert.Equal(a == b, one.L2 == other.L2 && one.Volatile.SequenceEqual(other.Volatile));
        });

    [Fact]
    public void Models_are_listed_unbilled()
    {
        var head = new WireHead("GET", "/v1/models/gpt-5", "", null);
        var call = Assert.IsType<WireRead.Call>(Gateway.Wires.Wires.Route(head)!.Read(head, default)).Value;
        var up = new WireHead("GET", "/v1/models/../files", "", null);

        Assert.Equal(("gpt-5", false, "/models/u"), (call.Model, call.IsBilled, call.For("u", 1).Path));
        Assert.IsType<WireRead.Refused>(Gateway.Wires.Wires.Route(up)!.Read(up, default));
    }

    [Fact]
    public void Embeddings_cost_their_input()
    {
        var call = WireRig.Call("/v1/embeddings", """{"model":"m","input":["a","b"]}""");

        var end = WireRig.Answer(call, """{"data":[{}],"model":"e-1","usage":{"prompt_tokens":2,"total_tokens":2}}""").End;

        Assert.Equal(new AnswerEnd(true, new TokenUsage(2, 0), "e-1", null), end);
        WireRig.SameJson("""{"model":"up-1","input":["a","b"]}""", call.Sent());
        Assert.Equal(WireProblem.Invalid, WireRig.Refusal("/v1/embeddings", """{"model":"m","input":[{"image":"https://x"}]}""").Problem);
    }

    private static readonly string[] Scraps =
    [
        "data: ", "event: x", "\n", "\r\n", "\n\n", "[DONE]", "{", "}", "[", "]", ",", "\"", "\\", ": c", """{"choices":[{"delta":{"content":"x"}}]}""",
        """{"type":"message_stop"}""", """{"type":"response.completed","response":{}}""", """{"candidates":[{"finishReason":"STOP"}]}""", """{"error":{"message":"no"}}""",
    ];

    private static readonly Gen<byte[]> AnswerLike = Gen.Int[0, Scraps.Length - 1].Select(i => Scraps[i]).Array[0, 20].Select(parts => Encoding.UTF8.GetBytes(string.Concat(parts)));

    private static bool Readable(string text) => text.EnumerateRunes().All(r => r != Rune.ReplacementChar);

    private static (byte[] Client, AnswerEnd End) Follow(WireCall call, byte[] bytes, int cut)
    {
        var client = new ArrayBufferWriter<byte>();
        var reader = call.Wire.Follow(call);
        reader.Take(bytes.AsSpan(0, cut), client);
        reader.Take(bytes.AsSpan(cut), client);
        var end = reader.End(client);
        return (client.WrittenSpan.ToArray(), end);
    }

    private static void Survives(string path, byte[] body)
    {
        var head = WireRig.Post(path);
        if (Gateway.Wires.Wires.Route(head)!.Read(head, body) is WireRead.Call(var call))
            call.For("up", 5);
    }
}
