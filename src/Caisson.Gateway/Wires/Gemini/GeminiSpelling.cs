using System.Buffers;
using System.Collections.Frozen;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Caisson.Gateway.Wires.Gemini;

/// <summary>
/// Google takes each of its names in two spellings, <c>fileData</c> and <c>file_data</c>. Requests are brought to the
/// first before anybody looks at them, so that nothing passes in the other.
/// </summary>
internal static class GeminiSpelling
{
    // Below these the names are the client's own.
    private static readonly FrozenSet<string> Foreign =
        ["args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "responseFormat", "labels"];

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <returns>The same bytes where all names are in the first spelling already.</returns>
    public static ReadOnlyMemory<byte> Normal(ReadOnlyMemory<byte> body, JsonElement root)
    {
        if (IsNormal(root))
            return body;
        var bytes = new ArrayBufferWriter<byte>(body.Length);
        using (var json = new Utf8JsonWriter(bytes, Writing))
            Write(json, root);
        return bytes.WrittenMemory;
    }

    private static bool IsNormal(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => element.EnumerateObject().All(m => !m.Name.Contains('_', StringComparison.Ordinal) && (Foreign.Contains(m.Name) || IsNormal(m.Value))),
        JsonValueKind.Array => element.EnumerateArray().All(IsNormal),
        _ => true,
    };

    private static void Write(Utf8JsonWriter json, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                json.WriteStartObject();
                foreach (var member in element.EnumerateObject())
                {
                    var name = Camel(member.Name);
                    json.WritePropertyName(name);
                    if (Foreign.Contains(name))
                        json.WriteRawValue(JsonMarshal.GetRawUtf8Value(member.Value), skipInputValidation: true);
                    else
                        Write(json, member.Value);
                }

                json.WriteEndObject();
                break;
            case JsonValueKind.Array:
                json.WriteStartArray();
                foreach (var item in element.EnumerateArray())
                    Write(json, item);
                json.WriteEndArray();
                break;
            default:
                json.WriteRawValue(JsonMarshal.GetRawUtf8Value(element), skipInputValidation: true);
                break;
        }
    }

    private static string Camel(string name)
    {
        var camel = new StringBuilder(name.Length);
        foreach (var part in name.Split('_', StringSplitOptions.RemoveEmptyEntries))
            camel.Append(camel.Length == 0 ? part[..1] : part[..1].ToUpperInvariant()).Append(part[1..]);
        return camel.ToString();
    }
}
