using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Wires.Answers;

namespace Caisson.Gateway.Wires.Responses;

/// <summary>
/// Some clients name an item of an earlier answer instead of sending it again. What a run was itself answered is put in
/// its place: so it is counted and found again like all else, and the provider need not have kept it. A name that no
/// answer to the run has stays as it is, and is denied.
/// </summary>
internal static class ItemReferences
{
    private const int MaxEventBytes = 15 << 20;

    /// <summary>Whether it is worth looking closer.</summary>
    public static bool MayBeIn(string path, ReadOnlySpan<byte> body) => path == ResponsesWire.Path && body.IndexOf("item_reference"u8) >= 0;

    /// <summary>The items of one answer, whole or as a stream, each as it came.</summary>
    public static IEnumerable<(string Id, string Json)> ItemsOf(string answer, bool isStream)
    {
        if (!isStream)
            return ItemsOf(Encoding.UTF8.GetBytes(answer));
        var events = new SseEvents(MaxEventBytes);
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(answer);
        var items = new List<(string, string)>();
        while (events.TryNext(ref rest, out _))
            items.AddRange(ItemsOf(events.Data));
        return items;
    }

    /// <summary>The request with what is known in place of its name; as it came where nothing is, or where that would be too long.</summary>
    public static ReadOnlyMemory<byte> Fill(ReadOnlyMemory<byte> body, Func<string, string?> itemOf)
    {
        using var document = Body.TryParse(body, allowTwice: false);
        if (document is null || document.RootElement.At("input") is not { ValueKind: JsonValueKind.Array } input)
            return body;
        var filled = new StringBuilder("[");
        foreach (var item in input.EnumerateArray())
        {
            var known = item.Is("type", "item_reference") && item.Text("id") is { } id ? itemOf(id) : null;
            filled.Append(filled.Length > 1 ? "," : "").Append(known ?? Encoding.UTF8.GetString(JsonMarshal.GetRawUtf8Value(item)));
            if (filled.Length > CallBounds.MaxRequestBytes)
                return body;
        }

        return Body.With(body, ("input", filled.Append(']').ToString()));
    }

    private static List<(string Id, string Json)> ItemsOf(ReadOnlyMemory<byte> json)
    {
        using var document = Body.TryParse(json);
        if (document is null)
            return [];
        var root = document.RootElement;
        IEnumerable<JsonElement> items = root.Is("type", "response.output_item.done") ? [root.At("item")] : root.At("output").Items();
        return [.. items.Where(i => i.Text("id") is not null).Select(i => (i.Text("id")!, i.GetRawText()))];
    }
}
