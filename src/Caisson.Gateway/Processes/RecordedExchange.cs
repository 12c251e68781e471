using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Processes;

/// <summary>
/// A whole 2xx answer to a program as the journal keeps it: the step's result. Old journals are read for ever, so members
/// are only added.
/// </summary>
/// <param name="Wire">The wire that it was asked on, by name.</param>
/// <param name="Body">As text where it is UTF-8, which all wires are; in base64 in <paramref name="Bytes"/> where not.</param>
/// <param name="Cuts">Where its pieces end, in bytes: a replay sends the same pieces.</param>
/// <param name="Match">Under which it is found again.</param>
internal sealed record RecordedExchange(string Wire, int Status, string? ContentType, string? Body, byte[]? Bytes, IReadOnlyList<int> Cuts, MatchKeys Match)
{
    /// <summary>Of which conversation, where there is one.</summary>
    public string? Conversation { get; init; }

    private static readonly JsonSerializerOptions Compact = new(RecordedExchangeJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static RecordedExchange Of(WireCall call, int status, string? contentType, IReadOnlyList<ReadOnlyMemory<byte>> pieces)
    {
        var body = new byte[pieces.Sum(p => p.Length)];
        var cuts = new List<int>(pieces.Count);
        var at = 0;
        foreach (var piece in pieces)
        {
            piece.CopyTo(body.AsMemory(at));
            cuts.Add(at += piece.Length);
        }

        var isText = System.Text.Unicode.Utf8.IsValid(body);
        return new RecordedExchange(call.Wire.Name, status, contentType, isText ? Strict.GetString(body) : null, isText ? null : body, cuts, call.Match) { Conversation = call.Conversation.Length == 0 ? null : call.Conversation };
    }

    /// <summary><c>null</c> for bytes that are no exchange.</summary>
    public static RecordedExchange? Decode(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, RecordedExchangeJson.Default.RecordedExchange) is { Wire: not null, Match.L0: not null, Cuts: not null } known ? known : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, Compact.GetTypeInfo(typeof(RecordedExchange)));

    public IEnumerable<ReadOnlyMemory<byte>> Pieces()
    {
        ReadOnlyMemory<byte> body = Bytes ?? Encoding.UTF8.GetBytes(Body ?? "");
        var from = 0;
        foreach (var cut in Cuts.Where(c => c <= body.Length))
        {
            yield return body[from..cut];
            from = cut;
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RecordedExchange))]
internal sealed partial class RecordedExchangeJson : JsonSerializerContext;
