using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;
using Caisson.Gateway.Wires.Plain;

namespace Caisson.Gateway.Wires.Gemini;

/// <summary><c>gemini</c>: POST /v1beta/models/{model}:generateContent, :streamGenerateContent, :countTokens, and the same below /v1. The model is in the path.</summary>
internal sealed class GeminiWire : Wire
{
    // The provider's address says which version is really asked.
    private static readonly string[] Prefixes = ["/v1beta/models/", "/v1/models/"];

    public override string Name => "gemini";

    public override WireFamily Family => WireFamily.Gemini;

    public static bool Takes(string path) => Parse(path) is (_, "generateContent" or "streamGenerateContent" or "countTokens");

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body) =>
        Body.Read(body, written =>
        {
            // Two spellings of one name would be two fields with one meaning: strict reading sees the name twice.
            var normal = GeminiSpelling.Normal(body, written);
            return Body.Read(normal, root => Understand(head, normal, root));
        });

    public override AnswerReader Follow(WireCall call) =>
        call is GeminiCall { IsSse: var isSse } ? new WireReader(new GeminiMeter(call, isSse), call.IsStream, isList: true) : new WireReader(new PlainMeter(), isStream: false);

    public override WireReply Error(WireError error, WireHead head)
    {
        var (status, name) = error.Problem switch
        {
            WireProblem.Invalid => (400, "INVALID_ARGUMENT"),
            WireProblem.Denied => (403, "PERMISSION_DENIED"),
            WireProblem.Limit => (402, "RESOURCE_EXHAUSTED"),
            WireProblem.Unknown => (501, "UNIMPLEMENTED"),
            WireProblem.NoModel => (404, "NOT_FOUND"),
            WireProblem.TooLarge => (413, "INVALID_ARGUMENT"),
            WireProblem.Upstream => (502, "INTERNAL"),
            _ => throw new ArgumentOutOfRangeException(nameof(error), error.Problem, "not a problem"),
        };
        return new WireReply(status, Encoding.UTF8.GetBytes(string.Create(
            CultureInfo.InvariantCulture, $$$"""{"error":{"code":{{{status}}},"status":"{{{name}}}","message":{{{Body.Quoted(error.Message)}}}}}""")));
    }

    private static (string Model, string Action) Parse(string path)
    {
        var colon = path.LastIndexOf(':');
        return Prefixes.FirstOrDefault(p => path.StartsWith(p, StringComparison.Ordinal) && colon >= p.Length) is { } prefix
            ? (path[prefix.Length..colon], path[(colon + 1)..])
            : ("", "");
    }

    private WireRead Understand(WireHead head, ReadOnlyMemory<byte> body, JsonElement root)
    {
        var (model, action) = Parse(head.Path);
        var config = root.At("generationConfig");
        long? max = null, thinking = null, choices = null;
        var problem = (model.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_') ? FieldRules.Model(model) : FieldRules.Invalid("model", "expected letters, digits, '.', '-' and '_'"))
            ?? GeminiChecks.Request(root, isCount: action == "countTokens")
            ?? FieldRules.Number(config, "maxOutputTokens", 1, long.MaxValue, out max)
            ?? FieldRules.Number(config, "candidateCount", 1, 128, out choices)
            ?? FieldRules.Number(config.At("thinkingConfig"), "thinkingBudget", -1, int.MaxValue, out thinking);
        if (problem is not null)
            return new WireRead.Refused(problem);

        // Nothing else of the query goes on: clients put their key there.
        var isSse = head.Query.TrimStart('?').Split('&').Contains("alt=sse");
        var (keys, conversation) = Matching.Of(Name, $"{model}:{action}{(isSse ? " sse" : "")}", root, head.UserAgent);
        var messages = root.At("contents").Count();
        var tools = GeminiChecks.CountTools(root.At("tools"));
        var summary = OpenAiChecks.Summary(messages, "message", tools);
        if (action == "countTokens")
        {
            return new WireRead.Call(new PlainCall(upstream => $"/models/{upstream}:countTokens", body)
            {
                Wire = this,
                Model = model,
                IsStream = false,
                IsBilled = false,
                MostInput = 0,
                Match = keys,
                Summary = $"count of {summary}",
            });
        }

        return new WireRead.Call(new GeminiCall(body, action, isSse)
        {
            Wire = this,
            Model = model,
            IsStream = action == "streamGenerateContent",
            MaxOutput = OpenAiChecks.Max(max),
            LeastOutput = OpenAiChecks.LeastOutput(max, thinking),
            Choices = (int)(choices ?? 1),
            MostInput = body.Length + CallBounds.Overhead(messages, tools) + GeminiChecks.Media(root, model),
            Match = keys,
            Conversation = conversation,
            Turns = GeminiChecks.Turns(root.At("contents")),
            Summary = summary,
        });
    }
}

/// <param name="IsSse">Else a stream is one JSON list.</param>
internal sealed record GeminiCall(ReadOnlyMemory<byte> Raw, string Action, bool IsSse) : WireCall
{
    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput) => (
        $"/models/{upstreamModel}:{Action}{(IsSse ? "?alt=sse" : "")}",
        Body.With(Raw, ("generationConfig.maxOutputTokens", maxOutput.ToString(CultureInfo.InvariantCulture)), ("model", null)));

    public override (string Field, string Element)? Say(string text) => ("contents", $$"""{"role":"user","parts":[{"text":{{Body.Quoted(text)}}}]}""");
}
