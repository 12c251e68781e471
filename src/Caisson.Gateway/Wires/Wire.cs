using System.Buffers;
using Caisson.Gateway.Prices;

namespace Caisson.Gateway.Wires;

/// <summary>
/// One provider protocol as agents speak it: what a request says, what it can become at most, what its answer cost, and
/// how an error looks that stops the client after one request. Pure; the bytes come from a box and are hostile.
/// </summary>
internal abstract class Wire
{
    /// <summary>As configuration and journal name it: <c>openai.chat</c>, <c>openai.responses</c>, <c>anthropic</c>, <c>gemini</c>, <c>openai.embeddings</c>, <c>openai.models</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Which configured upstreams can serve it.</summary>
    public abstract WireFamily Family { get; }

    /// <summary>Reads a request, strictly: a field or tool type that makes the provider connect somewhere, or that nobody can price, is refused.</summary>
    public abstract WireRead Read(WireHead head, ReadOnlyMemory<byte> body);

    /// <summary>Follows the answer to a call, wherever its bytes are cut.</summary>
    public abstract AnswerReader Follow(WireCall call);

    /// <summary>The body of an error in this wire's form, and its status.</summary>
    public abstract WireReply Error(WireError error, WireHead head);
}

internal enum WireFamily
{
    OpenAi = 1,
    Anthropic = 2,
    Gemini = 3,
}

/// <param name="Path">Without the query.</param>
/// <param name="Query">With its <c>?</c>, or empty.</param>
internal sealed record WireHead(string Method, string Path, string Query, string? UserAgent);

internal sealed record WireReply(int Status, ReadOnlyMemory<byte> Body);

internal abstract record WireRead
{
    public sealed record Call(WireCall Value) : WireRead;

    public sealed record Refused(WireError Error) : WireRead;
}

internal enum WireProblem
{
    /// <summary>400: no such request, or not understood.</summary>
    Invalid = 1,
    /// <summary>403: something that the manifest does not grant.</summary>
    Denied = 2,
    /// <summary>402 (400 for <c>codex_*</c>): a limit that will not free itself.</summary>
    Limit = 3,
    /// <summary>501: a route that is not one of these.</summary>
    Unknown = 4,
    /// <summary>404: no such model or provider.</summary>
    NoModel = 5,
    /// <summary>413.</summary>
    TooLarge = 6,
    /// <summary>502: the provider failed for good.</summary>
    Upstream = 7,
}

/// <param name="Message">One line, as the agent's log shows it.</param>
internal sealed record WireError(WireProblem Problem, string Message);

/// <summary>A request that was understood.</summary>
internal abstract record WireCall
{
    public required Wire Wire { get; init; }

    /// <summary>As the client wrote it; the upstream's name for it may be another.</summary>
    public required string Model { get; init; }

    public required bool IsStream { get; init; }

    /// <summary>Whether it costs money. Counting tokens and listing models do not.</summary>
    public bool IsBilled { get; init; } = true;

    /// <summary>The client's own bound of the output.</summary>
    public int? MaxOutput { get; init; }

    /// <summary>Less output than this is of no use: 256, or one more than the thinking budget. Below it a call is denied.</summary>
    public int LeastOutput { get; init; } = 256;

    /// <summary>Answers that the client asked for side by side (<c>n</c>): each may be as long as the bound.</summary>
    public int Choices { get; init; } = 1;

    /// <summary>The most input tokens that it can be billed for: a token per byte, what the provider adds, media by their table.</summary>
    public required long MostInput { get; init; }

    public required MatchKeys Match { get; init; }

    /// <summary>The same for all requests of one conversation: a hash of what it begins with. Empty where there is no conversation.</summary>
    public string Conversation { get; init; } = "";

    /// <summary>For the loop guard: tool calls with their results, as the conversation tells them, oldest first.</summary>
    public IReadOnlyList<ToolTurn> Turns { get; init; } = [];

    /// <summary>For people: <c>14 messages, 3 tools</c>.</summary>
    public required string Summary { get; init; }

    /// <summary>The request as the upstream gets it: its name of the model, the bound in force, usage asked for.</summary>
    /// <returns>Path below the upstream's base, with its query, and the body.</returns>
    public abstract (string Path, ReadOnlyMemory<byte> Body) For(string upstreamModel, int maxOutput);

    /// <summary>Where the conversation stands, and how a word of the user's looks at its end. <c>null</c>: there is no conversation.</summary>
    public virtual (string Field, string Element)? Say(string text) => null;
}

/// <param name="Signature">Hash of tool and canonical arguments.</param>
/// <param name="Result">Hash of the result, <c>null</c> where it is not told yet.</param>
internal sealed record ToolTurn(string Tool, string Signature, string? Result, bool Failed);

/// <summary>
/// Under which a recorded call is found again, the strictest first. Each is a SHA-256 in hex.
/// </summary>
/// <param name="L0">Sorted keys; without stream options, the bound of the output and what the gateway injects.</param>
/// <param name="L1">Without metadata, cache hints, user, tier, ids that the client minted.</param>
/// <param name="L2">UUIDs, times, dates, durations, process ids in the order of their first appearance instead of themselves.</param>
/// <param name="L3">And without the contents of tool results.</param>
/// <param name="Volatile">What L2 stands for, in the order of first appearance: two requests match only if these can be mapped one to one, the same way for the whole attempt.</param>
/// <param name="Prefixes">L3 hashes of the conversation's beginnings, the longest last: which recorded conversation this one continues.</param>
internal sealed record MatchKeys(string L0, string L1, string L2, string L3, IReadOnlyList<string> Volatile, IReadOnlyList<string> Prefixes);

/// <summary>Follows one answer of an upstream.</summary>
internal abstract class AnswerReader
{
    /// <summary>Takes bytes as they came and writes what the client gets: the same, or without what only the gateway asked for.</summary>
    public abstract void Take(ReadOnlySpan<byte> bytes, IBufferWriter<byte> client);

    /// <summary>The upstream's end. Writes what is left for the client.</summary>
    public abstract AnswerEnd End(IBufferWriter<byte> client);

    /// <summary>Bytes of text, thoughts and arguments so far.</summary>
    public abstract long OutputBytes { get; }

    /// <summary>Of a stream that must be cut: what makes it well-formed for the client.</summary>
    public abstract void Cut(IBufferWriter<byte> client);
}

/// <param name="IsWhole">Everything came that the wire promises, and no error in its place.</param>
/// <param name="Usage"><c>null</c>: no figures, or none that can be true.</param>
/// <param name="Problem">What was wrong, of an answer that is not whole.</param>
internal sealed record AnswerEnd(bool IsWhole, TokenUsage? Usage, string? Model, string? Problem);
