using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Chat;

namespace Caisson.Gateway.Wires.Plain;

/// <summary><c>openai.models</c>: GET /v1/models and /v1/models/{id}. Unbilled.</summary>
internal sealed class ModelsWire : Wire
{
    public const string Path = "/v1/models";

    public override string Name => "openai.models";

    public override WireFamily Family => WireFamily.OpenAi;

    public static bool Takes(string path) => path == Path || path.StartsWith(Path + "/", StringComparison.Ordinal);

    public override WireRead Read(WireHead head, ReadOnlyMemory<byte> body)
    {
        var model = head.Path.Length > Path.Length ? head.Path[(Path.Length + 1)..] : "";
        if (head.Path.Length > Path.Length && !IsName(model))
            return new WireRead.Refused(FieldRules.Invalid("model", "expected a name of letters, digits, '.', '-', '_', ':' and '/'"));
        return new WireRead.Call(PlainCall.Bodiless(this, head, model, upstream => model.Length == 0 ? "/models" : $"/models/{upstream}"));
    }

    public override AnswerReader Follow(WireCall call) => new WireReader(new PlainMeter(), isStream: false);

    public override WireReply Error(WireError error, WireHead head) => OpenAiErrors.Reply(error, head);

    private static bool IsName(string model) =>
        model.Length is > 0 and <= 256
        && model.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':' or '/')
        && model.Split('/').All(part => part.Any(c => c != '.'));
}
