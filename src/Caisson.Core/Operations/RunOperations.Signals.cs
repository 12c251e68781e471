using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

public sealed partial class RunOperations
{
    /// <summary>What a signal may carry, in UTF-8.</summary>
    public const int MaxSignalBytes = 256 << 10;

    private const int MaxDepth = 64;

    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>Letters, digits, dots, dashes and underscores; no dots alone, which paths of the API could not carry.</summary>
    public static bool IsSignalName(string name) =>
        name.Length is > 0 and <= MaxName && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-') && name.Any(c => c != '.');

    /// <summary>Leaves a signal for the run, durably; also one that nobody waits for yet.</summary>
    /// <param name="data">JSON; empty for <c>null</c>.</param>
    /// <param name="id">A second signal with the same id is the first one.</param>
    public async Task<OperationOutcome> SignalAsync(RunId run, string name, ReadOnlyMemory<byte> data, string? id, string? by, CancellationToken cancellationToken)
    {
        if (!IsSignalName(name))
            return Refuse(ErrorCodes.RequestInvalid, $"name: found '{name}', allowed are 1 to {MaxName} of the characters a-z, A-Z, 0-9, '.', '_' and '-'");
        if (id is { Length: > MaxIdempotencyKey or 0 })
            return Refuse(ErrorCodes.RequestInvalid, $"{ApiNames.IdempotencyKey}: allowed are 1 to {MaxIdempotencyKey} characters");
        if (data.Length > MaxSignalBytes)
            return Refuse(ErrorCodes.PayloadTooLarge, $"the signal's data has {data.Length} bytes, at most {MaxSignalBytes} are allowed: send where it is to be found");
        if (Named(by, out var who) is { } unnamed)
            return unnamed;
        if (Json(data, "data", out var text) is { } bad)
            return bad;

        // A namespace of its own: no caller's id can stand in the way of an input that the engine posts itself.
        return await PostAsync(run, InputKind.Signal, id is null ? null : $"signal:{id}", JournalJson.Write(new InputBody.Signal(name, text, who)), cancellationToken);
    }

    /// <summary>The text as the sender wrote it, numbers and all, once it is sure to be JSON.</summary>
    private static OperationOutcome.Refused? Json(ReadOnlyMemory<byte> bytes, string what, out string text)
    {
        text = "null";
        if (bytes.IsEmpty)
            return null;
        try
        {
            text = Strict.GetString(bytes.Span);
            using var parsed = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = MaxDepth });
            return null;
        }
        catch (Exception problem) when (problem is JsonException or DecoderFallbackException)
        {
            return Refuse(ErrorCodes.RequestInvalid, $"{what}: allowed is JSON in UTF-8: {problem.Message}");
        }
    }
}
