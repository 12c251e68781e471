using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace Caisson.Gateway.Wires;

/// <summary>Reads and edits whole JSON documents. Strict, because whatever two parsers read differently is a way past one of them.</summary>
internal static class Body
{
    public const int MaxDepth = 64;

    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Reads a request: one JSON object, valid Unicode, no name twice.</summary>
    public static WireRead Read(ReadOnlyMemory<byte> body, Func<JsonElement, WireRead> understand)
    {
        if (body.Length > CallBounds.MaxRequestBytes)
            return Refuse(WireProblem.TooLarge, $"the request has {body.Length} bytes; at most {CallBounds.MaxRequestBytes} are taken");
        using var document = TryParse(body, allowTwice: false);
        if (document is null)
            return Refuse(WireProblem.Invalid, $"the body is no JSON of at most {MaxDepth} levels in valid Unicode, with each name once");
        return document.RootElement.ValueKind == JsonValueKind.Object
            ? understand(document.RootElement)
            : Refuse(WireProblem.Invalid, "the body is no JSON object");
    }

    /// <returns><c>null</c>: not JSON, too deep, or with texts that no string can hold. Else every text in it can be read.</returns>
    public static JsonDocument? TryParse(ReadOnlyMemory<byte> json, bool allowTwice = true)
    {
        try
        {
            return Utf8.IsValid(json.Span) && IsReadable(json.Span)
                ? JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = allowTwice })
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static WireRead Refuse(WireProblem problem, string message) => new WireRead.Refused(new WireError(problem, message));

    /// <summary>The same object, each value byte for byte, but for some members. Those that it had not come last.</summary>
    /// <param name="edits">Name, or object and name with a dot between; the JSON to stand there, <c>null</c> to take it out.</param>
    public static ReadOnlyMemory<byte> With(ReadOnlyMemory<byte> body, params IReadOnlyList<(string Path, string? Json)> edits)
    {
        using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = MaxDepth });
        var bytes = new ArrayBufferWriter<byte>(body.Length + 256);
        using (var json = new Utf8JsonWriter(bytes, Writing))
            WriteObject(json, document.RootElement, edits);
        return bytes.WrittenMemory;
    }

    /// <summary>One element more at the end of a list in the body. A text there is the list's first element, as a user's word.</summary>
    public static ReadOnlyMemory<byte> Append(ReadOnlyMemory<byte> body, string field, string element)
    {
        using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = MaxDepth });
        var list = document.RootElement.At(field);
        var raw = list.ValueKind switch
        {
            JsonValueKind.Array when list.GetArrayLength() == 0 => $"[{element}]",
            JsonValueKind.Array => $"{list.GetRawText().TrimEnd()[..^1]},{element}]",
            JsonValueKind.String => $$"""[{"role":"user","content":{{list.GetRawText()}}},{{element}}]""",
            _ => $"[{element}]",
        };
        return With(body, (field, raw));
    }

    public static string Quoted(string text) => $"\"{JavaScriptEncoder.UnsafeRelaxedJsonEscaping.Encode(text)}\"";

    private static void WriteObject(Utf8JsonWriter json, JsonElement element, IReadOnlyList<(string Path, string? Json)> edits)
    {
        json.WriteStartObject();
        foreach (var member in element.Members())
        {
            if (!edits.Any(e => Head(e.Path) == member.Name))
            {
                json.WritePropertyName(member.Name);
                json.WriteRawValue(System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(member.Value), skipInputValidation: true);
            }
            else
            {
                WriteMember(json, member.Name, member.Value, edits);
            }
        }

        foreach (var name in edits.Select(e => Head(e.Path)).Distinct().Where(name => element.At(name).ValueKind == JsonValueKind.Undefined))
            WriteMember(json, name, default, edits);
        json.WriteEndObject();
    }

    private static void WriteMember(Utf8JsonWriter json, string name, JsonElement old, IReadOnlyList<(string Path, string? Json)> edits)
    {
        if (edits.FirstOrDefault(e => e.Path == name) is { Path: not null } edit)
        {
            if (edit.Json is not null)
            {
                json.WritePropertyName(name);
                json.WriteRawValue(edit.Json, skipInputValidation: true);
            }

            return;
        }

        json.WritePropertyName(name);
        WriteObject(json, old, [.. edits.Where(e => Head(e.Path) == name).Select(e => (e.Path[(name.Length + 1)..], e.Json))]);
    }

    private static string Head(string path) => path.Split('.', 2)[0];

    // The parser takes an escape such as \ud800 alone, and throws only when somebody asks for the text.
    private static bool IsReadable(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        var buffer = ArrayPool<byte>.Shared.Rent(4096);
        try
        {
            while (reader.Read())
            {
                if (!reader.ValueIsEscaped || reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
                    continue;
                if (buffer.Length < reader.ValueSpan.Length)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(reader.ValueSpan.Length);
                }

                reader.CopyString(buffer);
            }

            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
