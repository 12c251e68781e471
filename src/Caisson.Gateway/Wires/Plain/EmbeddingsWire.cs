using System.Buffers;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Plain;

/// <summary><c>openai.embeddings</c>: POST /v1/embeddings. There is no output that is billed.</summary>
internal sealed class EmbeddingsWire : Wire
{
    public const string Path = "/v1/embeddings";

    private static readonly FieldRules Fields = new("model input encoding_format dimensions user input_type truncate task");

    public override string Name => "openai.embeddings";

    public override WireFamily Family => WireFamily.OpenAi;

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body) => Body.Read(body, root => Understand(head, body, root));

    public override AnswerReader Follow(WireCall call) => new WireReader(new EmbeddingsMeter(), isStream: false);

    public override WireReply Error(WireError error, WireHead head) => OpenAiErrors.Reply(error, head);

    private WireRead Understand(WireHead head, ReadOnlyMemory<byte> body, JsonElement root)
    {
        var model = root.Text("model");
        var input = root.At("input");
        if ((Fields.Check(root) ?? FieldRules.Model(model) ?? Input(input)) is { } problem)
            return new WireRead.Refused(problem);
        var texts = Math.Max(1, input.Count());
        return new WireRead.Call(new EmbeddingsCall(body)
        {
            Wire = this,
            Model = model!,
            IsStream = false,
            MaxOutput = 1,
            LeastOutput = 1,
            MostInput = body.Length + CallBounds.Overhead(texts, 0),
            Match = Matching.Of(Name, "", root, head.UserAgent).Keys,
            Summary = OpenAiChecks.Summary(texts, "text", 0),
        });
    }

    // Objects would be pictures and addresses.
    private static WireError? Input(JsonElement input) => input.ValueKind switch
    {
        JsonValueKind.String => null,
        JsonValueKind.Array when input.Items().All(i => i.ValueKind is JsonValueKind.String or JsonValueKind.Number || i.Items().Any()) && input.Items().SelectMany(i => i.Items()).All(t => t.ValueKind == JsonValueKind.Number) => null,
        _ => FieldRules.Invalid("input", "expected a text, a list of texts, or tokens"),
    };
}

internal sealed record EmbeddingsCall(ReadOnlyMemory<byte> Raw) : WireCall
{
    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput) =>
        ("/embeddings", Body.With(Raw, ("model", Body.Quoted(upstreamModel))));
}

internal sealed class EmbeddingsMeter : IAnswerMeter
{
    public long OutputBytes => 0;

    public TokenUsage? Usage { get; private set; }

    public string? Model { get; private set; }

    public string? Problem { get; private set; }

    public bool IsFinished => false;

    public bool Event(string name, JsonElement data) => true;

    public void Done()
    {
    }

    public void Document(JsonElement root)
    {
        Model = root.Label("model");
        Usage = root.At("usage").Figure("prompt_tokens") is > 0 and var input ? new TokenUsage(input, 0) : null;
        Problem ??= AnswerText.ErrorIn(root) ?? (root.At("data").Count() == 0 ? "no embeddings" : null);
    }

    public void Terminate(IBufferWriter<byte> client)
    {
    }
}
