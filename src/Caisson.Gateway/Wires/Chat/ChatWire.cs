using System.Text.Json;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Chat;

/// <summary><c>openai.chat</c>: POST /v1/chat/completions.</summary>
internal sealed class ChatWire : Wire
{
    public const string Path = "/v1/chat/completions";

    private static readonly FieldRules Fields = new(
        """
        model messages stream stream_options max_tokens max_completion_tokens temperature top_p top_k min_p n stop seed
        presence_penalty frequency_penalty repetition_penalty logit_bias logprobs top_logprobs response_format tools
        tool_choice parallel_tool_calls functions function_call user metadata store reasoning reasoning_effort
        reasoning_format include_reasoning thinking enable_thinking thinking_budget chat_template_kwargs prediction
        verbosity prompt_cache_key prompt_cache_retention safety_identifier usage cache_control guided_json guided_regex
        guided_choice guided_grammar structured_outputs service_tier modalities
        """.ReplaceLineEndings(" "),
        ("web_search_options", FieldRules.Connects),
        ("search_parameters", FieldRules.Connects),
        ("search_options", FieldRules.Connects),
        ("enable_search", FieldRules.Connects),
        ("plugins", FieldRules.Connects),
        ("mcp_servers", FieldRules.Connects),
        ("background", FieldRules.Connects),
        ("container", FieldRules.Refers),
        ("file_ids", FieldRules.Refers),
        ("conversation", FieldRules.Refers),
        ("previous_response_id", FieldRules.Refers),
        ("models", "only one model has one price; send it as model"),
        ("audio", "spoken answers have a price of their own; ask for text"));

    public override string Name => "openai.chat";

    public override WireFamily Family => WireFamily.OpenAi;

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body) => Body.Read(body, root => Understand(head, body, root));

    public override AnswerReader Follow(WireCall call) => new WireReader(new ChatMeter((ChatCall)call), call.IsStream);

    public override WireReply Error(WireError error, WireHead head) => OpenAiErrors.Reply(error, head);

    private WireRead Understand(WireHead head, ReadOnlyMemory<byte> body, JsonElement root)
    {
        long? n = null, oldMax = null, newMax = null;
        var model = root.Text("model");
        var problem = Fields.Check(root)
            ?? FieldRules.Model(model)
            ?? FieldRules.Flag(root, "stream")
            ?? FieldRules.Number(root, "n", 1, 128, out n)
            ?? FieldRules.Number(root, "max_tokens", 1, long.MaxValue, out oldMax)
            ?? FieldRules.Number(root, "max_completion_tokens", 1, long.MaxValue, out newMax)
            ?? OpenAiChecks.Tier(root)
            ?? ChatChecks.Kinds(root, model!)
            ?? ChatChecks.Tools(root.At("tools"))
            ?? ChatChecks.Messages(root.At("messages"));
        if (problem is not null)
            return new WireRead.Refused(problem);

        var (keys, conversation) = Matching.Of(Name, "", root, head.UserAgent);
        var messages = root.At("messages").Count();
        var tools = root.At("tools").Count() + root.At("functions").Count();
        long? max = oldMax is null && newMax is null ? null : Math.Min(oldMax ?? long.MaxValue, newMax ?? long.MaxValue);
        return new WireRead.Call(new ChatCall(body)
        {
            Wire = this,
            Model = model!,
            IsStream = root.IsTrue("stream"),
            MaxOutput = OpenAiChecks.Max(max),
            LeastOutput = OpenAiChecks.LeastOutput(max, null),
            Choices = (int)(n ?? 1),
            MostInput = body.Length + CallBounds.Overhead(messages, tools) + ChatChecks.Media(root.At("messages"), model!),
            Match = keys,
            Conversation = conversation,
            Turns = ChatChecks.Turns(root.At("messages")),
            Summary = OpenAiChecks.Summary(messages, "message", tools),
            AsksUsage = root.At("stream_options").IsTrue("include_usage"),
            Bounds = (oldMax, newMax) switch
            {
                (null, null) => null,
                (_, null) => ["max_tokens"],
                (null, _) => ["max_completion_tokens"],
                _ => ["max_tokens", "max_completion_tokens"],
            },
        });
    }
}

internal sealed record ChatCall(ReadOnlyMemory<byte> Raw) : WireCall
{
    /// <summary>Whether the client wants to see the usage of a stream; else it is asked for all the same, and kept from it.</summary>
    public required bool AsksUsage { get; init; }

    /// <summary>Where the client bounds the output itself.</summary>
    public required IReadOnlyList<string>? Bounds { get; init; }

    /// <summary>Where the upstream wants the bound. Default: where the client has it; else by the model's name, for OpenAI's newer models refuse the old field and others ignore the new one.</summary>
    public string? MaxTokensField { get; init; }

    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput)
    {
        var edits = new List<(string, string?)> { ("model", Body.Quoted(upstreamModel)) };
        var bounds = MaxTokensField is { } field ? [field] : Bounds ?? [DefaultField(upstreamModel)];
        foreach (var name in new[] { "max_tokens", "max_completion_tokens" })
        {
            if (bounds.Contains(name))
                edits.Add((name, maxOutput.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            else if (Bounds?.Contains(name) != false)
                edits.Add((name, null));
        }

        if (IsStream && !AsksUsage)
            edits.Add(("stream_options.include_usage", "true"));
        return ("/chat/completions", Body.With(Raw, edits));
    }

    public override (string Field, string Element)? Say(string text) => ("messages", $$"""{"role":"user","content":{{Body.Quoted(text)}}}""");

    private static string DefaultField(string model) =>
        model.StartsWith("gpt-", StringComparison.Ordinal) || model.StartsWith("chatgpt-", StringComparison.Ordinal)
        || (model.Length > 1 && model[0] == 'o' && char.IsAsciiDigit(model[1]))
            ? "max_completion_tokens"
            : "max_tokens";
}
