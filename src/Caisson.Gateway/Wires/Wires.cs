using Caisson.Gateway.Wires.Anthropic;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Gemini;
using Caisson.Gateway.Wires.Plain;
using Caisson.Gateway.Wires.Responses;

namespace Caisson.Gateway.Wires;

/// <summary>The wires, by the routes that agents use.</summary>
internal static class Wires
{
    private static readonly ChatWire Chat = new();
    private static readonly ResponsesWire Responses = new();
    private static readonly AnthropicWire Anthropic = new();
    private static readonly GeminiWire Gemini = new();
    private static readonly EmbeddingsWire Embeddings = new();
    private static readonly ModelsWire Models = new();

    /// <returns><c>null</c>: not a route of a model provider. It is refused, for an unknown route is a way past the budget.</returns>
    public static Wire? Route(WireHead head) => (head.Method, head.Path) switch
    {
        ("POST", ChatWire.Path) => Chat,
        ("POST", AnthropicWire.Path or AnthropicWire.CountPath) => Anthropic,
        ("HEAD", "/") => Anthropic,
        ("POST", EmbeddingsWire.Path) => Embeddings,
        ("POST", var path) when GeminiWire.Takes(path) => Gemini,
        ("GET", var path) when ModelsWire.Takes(path) => Models,
        var (method, path) when ResponsesWire.Takes(method, path) => Responses,
        _ => null,
    };
}
