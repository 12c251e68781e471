using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Core.Models;

namespace Caisson.Gateway;

/// <summary>An answer as the journal keeps it: the step's result bytes. Old journals are read for ever, so members are only added.</summary>
internal static class RecordedAnswer
{
    // Tool arguments are JSON within JSON: the default's escapes would make them three times as long.
    private static readonly JsonSerializerOptions Compact = new(RecordedAnswerJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static byte[] Encode(ModelAnswer answer) =>
        JsonSerializer.SerializeToUtf8Bytes(answer, Compact.GetTypeInfo(typeof(ModelAnswer)));

    /// <summary><c>null</c> for bytes that are no answer.</summary>
    public static ModelAnswer? Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, RecordedAnswerJson.Default.ModelAnswer) is { Text: not null, Calls: not null } answer ? answer : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ModelAnswer))]
internal sealed partial class RecordedAnswerJson : JsonSerializerContext;
