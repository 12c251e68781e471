using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>What the wires write alike.</summary>
internal static class WireJson
{
    // A clock would make two answers to the same request differ.
    public const long Created = 1_700_000_000;

    private const int LeastPiece = 16;
    private const int MostPieces = 64;

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static ReadOnlyMemory<byte> Object(Action<Utf8JsonWriter> members)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes, Writing);
        json.WriteStartObject();
        members(json);
        json.WriteEndObject();
        json.Flush();
        return bytes.WrittenMemory;
    }

    /// <summary>A server-sent event without a name.</summary>
    public static ReadOnlyMemory<byte> Event(ReadOnlyMemory<byte> data) => (byte[])[.. "data: "u8, .. data.Span, .. "\n\n"u8];

    public static ReadOnlyMemory<byte> Event(string name, ReadOnlyMemory<byte> data) =>
        (byte[])[.. "event: "u8, .. Encoding.UTF8.GetBytes(name), .. "\n"u8, .. Event(data).Span];

    /// <summary>Parts of a text that never tear a surrogate pair; a long text gets longer parts, not more of them.</summary>
    public static IEnumerable<string> Pieces(string text)
    {
        var length = Math.Max(LeastPiece, text.Length / MostPieces);
        for (var start = 0; start < text.Length;)
        {
            var end = Math.Min(text.Length, start + length);
            if (end < text.Length && char.IsLowSurrogate(text[end]))
                end++;
            yield return text[start..end];
            start = end;
        }
    }

    /// <summary>A call's arguments where the wire wants an object; a script's broken ones can only be sent as a text.</summary>
    public static void WriteArguments(Utf8JsonWriter json, string name, string arguments)
    {
        if (IsObject(arguments))
        {
            json.WritePropertyName(name);
            json.WriteRawValue(arguments);
        }
        else
        {
            json.WriteString(name, arguments);
        }
    }

    /// <summary>A member of the request, echoed.</summary>
    public static void WriteEcho(Utf8JsonWriter json, JsonElement request, string name, string otherwise)
    {
        json.WritePropertyName(name);
        if (request.TryGetProperty(name, out var value))
            value.WriteTo(json);
        else
            json.WriteRawValue(otherwise);
    }

    private static bool IsObject(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
