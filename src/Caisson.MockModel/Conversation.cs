using System.Text.Json;

namespace Caisson.MockModel;

/// <summary>
/// What a request says about where its conversation stands, whatever its wire. All of it comes from the request, so a
/// client that crashed and asks again gets the same answer, from this server or the next.
/// </summary>
/// <param name="Input">The first user message.</param>
/// <param name="Last">The last message, of whichever role.</param>
/// <param name="Tool">The tool results since the model's last turn.</param>
/// <param name="Turns">How often the model has spoken.</param>
/// <param name="Request">All of the request, for what a wire's answer repeats.</param>
internal sealed record Conversation(
    string Wire,
    string Model,
    string System,
    string Input,
    string Last,
    string Tool,
    int Turns,
    string Hash,
    long InputTokens,
    StreamForm Stream,
    JsonElement Request);

internal enum StreamForm
{
    /// <summary>One JSON value.</summary>
    None,

    /// <summary>Server-sent events.</summary>
    Events,

    /// <summary>A JSON array that grows.</summary>
    List,
}

/// <summary>The mock's way to count: four bytes are a token, and nothing is none.</summary>
internal static class Tokens
{
    public static long Count(long bytes) => Math.Max(1, (bytes + 3) / 4);
}
