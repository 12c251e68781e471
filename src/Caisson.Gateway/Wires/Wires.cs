using Caisson.Gateway.Wires.Chat;

namespace Caisson.Gateway.Wires;

/// <summary>The wires, by the routes that agents use.</summary>
internal static class Wires
{
    private static readonly ChatWire Chat = new();

    /// <returns><c>null</c>: not a route of a model provider. It is refused, for an unknown route is a way past the budget.</returns>
    public static Wire? Route(WireHead head) => (head.Method, head.Path) switch
    {
        ("POST", ChatWire.Path) => Chat,
        _ => null,
    };
}
