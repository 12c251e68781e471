using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>How one provider's requests are read, and how its answers and refusals are written.</summary>
internal interface IWire
{
    /// <summary>As scripts and the log name it, one of <see cref="WireNames"/>.</summary>
    string Name { get; }

    /// <summary>What every request has: told to a client whose request has it not.</summary>
    string Needs { get; }

    /// <summary>What a call's id begins with where the script gives none; <c>null</c>: it has none.</summary>
    string? CallIdPrefix { get; }

    /// <summary>The response header with the request's id, where this provider sends one.</summary>
    string? RequestIdHeader { get; }

    /// <summary>Throws <see cref="InvalidOperationException"/> or <see cref="KeyNotFoundException"/> on what is no such request, as the JSON reader does.</summary>
    Conversation Read(JsonElement request);

    /// <summary>The answer in one piece.</summary>
    ReadOnlyMemory<byte> Whole(MockAnswer answer);

    /// <summary>The same answer as the pieces of a stream, ready to be sent.</summary>
    IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer);

    ReadOnlyMemory<byte> Error(Refusal refusal);

    /// <summary>The refusal as a piece of a stream that has begun.</summary>
    ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after);
}

internal static class WireNames
{
    public const string Chat = "openai.chat";
    public const string Responses = "openai.responses";
    public const string Embeddings = "openai.embeddings";
    public const string Anthropic = "anthropic";
    public const string Gemini = "gemini";

    public static readonly string[] All = [Chat, Responses, Anthropic, Gemini, Embeddings];
}

/// <summary>An answer that is none.</summary>
/// <param name="Code">The OpenAI wires' <c>code</c>.</param>
/// <param name="RetryAfter">Seconds.</param>
/// <param name="RequestId">For the wires that repeat it in the body.</param>
internal sealed record Refusal(int Status, string Message, string? Code = null, double? RetryAfter = null, string? RequestId = null);
