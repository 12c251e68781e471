using System.Buffers;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Plain;

/// <summary>A call that costs nothing: listing models, counting tokens, asking whether somebody is there.</summary>
/// <param name="PathOf">The path at the upstream, by its name for the model.</param>
/// <param name="Raw">The body, or empty.</param>
internal sealed record PlainCall(Func<string, string> PathOf, ReadOnlyMemory<byte> Raw) : WireCall
{
    /// <summary>Whether the body names the model.</summary>
    public bool NamesModel { get; init; }

    public override (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput) =>
        (PathOf(upstreamModel), NamesModel ? Body.With(Raw, ("model", Body.Quoted(upstreamModel))) : Raw);

    /// <summary>A call without a body.</summary>
    public static WireCall Bodiless(Wire wire, WireHead head, string model, Func<string, string> pathOf)
    {
        using var nothing = JsonDocument.Parse("{}");
        return new PlainCall(pathOf, default)
        {
            Wire = wire,
            Model = model,
            IsStream = false,
            IsBilled = false,
            MostInput = 0,
            Match = Matching.Of(wire.Name, $"{head.Method} {head.Path}", nothing.RootElement, head.UserAgent).Keys,
            Summary = $"{head.Method} {FieldRules.Name(head.Path)}",
        };
    }
}

/// <summary>Reads an answer that costs nothing, and may be empty.</summary>
internal sealed class PlainMeter : IAnswerMeter
{
    public long OutputBytes => 0;

    public TokenUsage? Usage => null;

    public string? Model => null;

    public string? Problem { get; private set; }

    public bool IsFinished => true;

    public bool Event(string name, JsonElement data)
    {
        Problem ??= "a stream where none was asked for";
        return true;
    }

    public void Done()
    {
    }

    public void Document(JsonElement root) => Problem ??= AnswerText.ErrorIn(root);

    public void Terminate(IBufferWriter<byte> client)
    {
    }
}
