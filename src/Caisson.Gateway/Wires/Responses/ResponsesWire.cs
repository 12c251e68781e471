using System.Globalization;
using System.Text.Json;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Responses;

/// <summary><c>openai.responses</c>: POST /v1/responses. Whatever refers to an earlier response is denied: it would be input that nobody has counted. Items of the run's own answers are put in their place before it gets here.</summary>
internal sealed class ResponsesWire : Wire
{
    public const string Path = "/v1/responses";

    public const string WireName = "openai.responses";

    private static readonly FieldRules Fields = new(
        """
        model input instructions stream stream_options max_output_tokens temperature top_p top_logprobs tools tool_choice
        parallel_tool_calls max_tool_calls metadata client_metadata store include reasoning text truncation user
        safety_identifier prompt_cache_key prompt_cache_retention service_tier
        """.ReplaceLineEndings(" "),
        ("background", "with it the answer would come when nobody counts it; leave it out and wait for the answer"),
        ("previous_response_id", FieldRules.Refers),
        ("conversation", FieldRules.Refers),
        ("prompt", FieldRules.Refers),
        ("mcp_servers", FieldRules.Connects),
        ("context_management", FieldRules.Unpriced));

    public override string Name => WireName;

    public override WireFamily Family => WireFamily.OpenAi;

    public static bool Takes(string method, string path) =>
        path == Path ? method == "POST" : path.StartsWith(Path + "/", StringComparison.Ordinal) && method is "GET" or "POST" or "DELETE";

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body) =>
        head.Path == Path
            ? Body.Read(body, root => Understand(head, body, root))
            : new WireRead.Refused(FieldRules.Denied(FieldRules.Name(head.Path), FieldRules.Refers));

    public override AnswerReader Follow(WireCall call) => new WireReader(new ResponsesMeter(call), call.IsStream);

    public override WireReply Error(WireError error, WireHead head) => OpenAiErrors.Reply(error, head);

    private WireRead Understand(WireHead head, ReadOnlyMemory<byte> body, JsonElement root)
    {
        long? max = null;
        var model = root.Text("model");
        var problem = Fields.Check(root)
            ?? FieldRules.Model(model)
            ?? FieldRules.Flag(root, "stream")
            ?? FieldRules.Number(root, "max_output_tokens", 1, long.MaxValue, out max)
            ?? OpenAiChecks.Tier(root)
            ?? ResponsesChecks.Tools(root.At("tools"), "tools", levels: 2)
            ?? ResponsesChecks.Input(root.At("instructions"), "instructions", isRequired: false)
            ?? ResponsesChecks.Input(root.At("input"), "input", isRequired: true);
        if (problem is not null)
            return new WireRead.Refused(problem);

        var (keys, conversation) = Matching.Of(Name, "", root, head.UserAgent);
        var items = Math.Max(1, root.At("input").Count());
        var tools = ResponsesChecks.CountTools(root.At("tools"));
        return new WireRead.Call(new ResponsesCall(body)
        {
            Wire = this,
            Model = model!,
            IsStream = root.IsTrue("stream"),
            MaxOutput = OpenAiChecks.Max(max),
            LeastOutput = OpenAiChecks.LeastOutput(max, null),
            MostInput = body.Length + CallBounds.Overhead(items, tools)
                + ResponsesChecks.Media(root.At("instructions"), model!) + ResponsesChecks.Media(root.At("input"), model!),
            Match = keys,
            Conversation = conversation,
            Turns = ResponsesChecks.Turns(root.At("input")),
            Summary = OpenAiChecks.Summary(items, "item", tools),
        });
    }
}

internal sealed record ResponsesCall(ReadOnlyMemory<byte> Raw) : WireCall
{
    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput) =>
        ("/responses", Body.With(Raw, ("model", Body.Quoted(upstreamModel)), ("max_output_tokens", maxOutput.ToString(CultureInfo.InvariantCulture))));

    public override (string Field, string Element)? Say(string text) => ("input", $$"""{"role":"user","content":{{Body.Quoted(text)}}}""");
}
