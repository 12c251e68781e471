using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Caisson.Cli.Output;

/// <summary>JSON for programs. The default encoder writes everything beyond ASCII as an escape, so terminals are safe as well.</summary>
internal static class JsonOut
{
    internal static string Text<T>(T value, JsonTypeInfo<T> type, bool indented)
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = indented }))
            JsonSerializer.Serialize(writer, value, type);
        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }
}
