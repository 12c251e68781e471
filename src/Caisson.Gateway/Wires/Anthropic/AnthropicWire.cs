using System.Globalization;
using System.Text.Json;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;
using Caisson.Gateway.Wires.Plain;

namespace Caisson.Gateway.Wires.Anthropic;

/// <summary><c>anthropic</c>: POST /v1/messages, and what its clients ask besides: how many tokens, and whether anybody is there.</summary>
internal sealed class AnthropicWire : Wire
{
    public const string Path = "/v1/messages";
    public const string CountPath = "/v1/messages/count_tokens";

    private static readonly FieldRules Fields = new(
        """
        model messages max_tokens system stream stop_sequences temperature top_p top_k tools tool_choice thinking metadata
        cache_control output_config output_format context_management service_tier
        """.ReplaceLineEndings(" "),
        ("mcp_servers", FieldRules.Connects),
        ("container", FieldRules.Refers),
        ("inference_geo", FieldRules.Unpriced),
        ("speed", FieldRules.Unpriced));

    public override string Name => "anthropic";

    public override WireFamily Family => WireFamily.Anthropic;

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body) =>
        head.Method == "HEAD"
            ? new WireRead.Call(PlainCall.Bodiless(this, head, "", _ => "/"))
            : Body.Read(body, root => Understand(head, body, root));

    public override AnswerReader Follow(WireCall call) =>
        call is AnthropicCall ? new WireReader(new AnthropicMeter(call), call.IsStream) : new WireReader(new PlainMeter(), isStream: false);

    public override WireReply Error(WireError error, WireHead head) => AnthropicErrors.Reply(error);

    private WireRead Understand(WireHead head, ReadOnlyMemory<byte> body, JsonElement root)
    {
        long? max = null, thinking = null;
        var model = root.Text("model");
        var counts = head.Path == CountPath;
        var problem = Fields.Check(root)
            ?? FieldRules.Model(model)
            ?? FieldRules.Flag(root, "stream")
            ?? FieldRules.Number(root, "max_tokens", 1, long.MaxValue, out max)
            ?? (max is null && !counts ? FieldRules.Invalid("max_tokens", "expected a whole number") : null)
            ?? FieldRules.Number(root.At("thinking"), "budget_tokens", 1, int.MaxValue, out thinking)
            ?? OpenAiChecks.Tier(root)
            ?? AnthropicChecks.Context(root.At("context_management"))
            ?? AnthropicChecks.Tools(root.At("tools"))
            ?? AnthropicChecks.System(root.At("system"))
            ?? AnthropicChecks.Messages(root.At("messages"));
        if (problem is not null)
            return new WireRead.Refused(problem);

        var query = head.Query.TrimStart('?').Split('&').Contains("beta=true") ? "?beta=true" : "";
        var (keys, conversation) = Matching.Of(Name, counts ? "count" : "", root, head.UserAgent);
        var summary = OpenAiChecks.Summary(root.At("messages").Count(), "message", root.At("tools").Count());
        if (counts)
        {
            return new WireRead.Call(new PlainCall(_ => "/messages/count_tokens" + query, body)
            {
                Wire = this,
                Model = model!,
                NamesModel = true,
                IsStream = false,
                IsBilled = false,
                MostInput = 0,
                Match = keys,
                Summary = $"count of {summary}",
            });
        }

        return new WireRead.Call(new AnthropicCall(body, "/messages" + query)
        {
            Wire = this,
            Model = model!,
            IsStream = root.IsTrue("stream"),
            MaxOutput = OpenAiChecks.Max(max),
            LeastOutput = OpenAiChecks.LeastOutput(max, thinking),
            MostInput = Most(body, root, model!),
            Match = keys,
            Conversation = conversation,
            Turns = AnthropicChecks.Turns(root.At("messages")),
            Summary = summary,
        });
    }

    private static long Most(ReadOnlyMemory<byte> body, JsonElement root, string model)
    {
        var most = body.Length
            + CallBounds.Overhead(root.At("messages").Count(), root.At("tools").Count())
            + AnthropicChecks.Media(root.At("messages"), model);
        // A cache that is kept for an hour counts as AnthropicMeter says.
        return body.Span.IndexOf("\"1h\""u8) < 0 ? most : most + (most * AnthropicMeter.HourSurcharge / 100);
    }
}

internal sealed record AnthropicCall(ReadOnlyMemory<byte> Raw, string Target) : WireCall
{
    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput) =>
        (Target, Body.With(Raw, ("model", Body.Quoted(upstreamModel)), ("max_tokens", maxOutput.ToString(CultureInfo.InvariantCulture))));

    public override (string Field, string Element)? Say(string text) => ("messages", $$"""{"role":"user","content":{{Body.Quoted(text)}}}""");
}
