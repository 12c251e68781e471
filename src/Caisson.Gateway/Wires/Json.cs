using System.Collections.Frozen;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Caisson.Gateway.Wires;

/// <summary>Ways into a stranger's JSON that cannot fail: what is not there, or of another kind, is nothing.</summary>
internal static class Json
{
    private static readonly FrozenSet<string> NoText = ["role", "id", "type", "call_id", "item_id", "signature", "thoughtSignature", "encrypted_content", "data"];

    public static JsonElement At(this JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value : default;

    public static string? Text(this JsonElement element) => element.ValueKind == JsonValueKind.String ? element.GetString() : null;

    public static string? Text(this JsonElement element, string name) => element.At(name).Text();

    /// <summary>A short text, such as a name or an id. A longer one is none.</summary>
    public static string? Label(this JsonElement element, string name) => element.Text(name) is { Length: > 0 and <= 256 } text ? text : null;

    public static bool Is(this JsonElement element, string name, string text) =>
        element.At(name) is { ValueKind: JsonValueKind.String } value && value.ValueEquals(text);

    public static bool IsTrue(this JsonElement element, string name) => element.At(name).ValueKind == JsonValueKind.True;

    public static bool IsNothing(this JsonElement element) => element.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;

    public static IEnumerable<JsonElement> Items(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? element.EnumerateArray() : [];

    public static int Count(this JsonElement element) => element.ValueKind == JsonValueKind.Array ? element.GetArrayLength() : 0;

    public static IEnumerable<JsonProperty> Members(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Object ? element.EnumerateObject() : [];

    /// <summary>A count as providers give it. One above a hundred million is no count.</summary>
    public static long? Figure(this JsonElement element, string name) =>
        element.At(name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out var count) && count is >= 0 and <= 100_000_000
            ? count
            : null;

    /// <summary>Bytes of all texts below, as they came, but for what no model writes. Escapes count as written: never too little.</summary>
    public static long TextBytes(this JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => JsonMarshal.GetRawUtf8Value(element).Length - 2,
        JsonValueKind.Array => element.EnumerateArray().Sum(TextBytes),
        JsonValueKind.Object => element.EnumerateObject().Where(p => !NoText.Contains(p.Name)).Sum(p => p.Value.TextBytes()),
        _ => 0,
    };
}
