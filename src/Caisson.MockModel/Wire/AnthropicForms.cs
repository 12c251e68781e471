using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>Anthropic's list of models, which stands at the same path as OpenAI's.</summary>
internal static class AnthropicForms
{
    private const string CreatedAt = "2023-11-14T22:13:20Z";

    public static ReadOnlyMemory<byte> Models(IReadOnlyList<string> models) => WireJson.Object(json =>
    {
        json.WriteStartArray("data"u8);
        foreach (var model in models)
        {
            json.WriteStartObject();
            Model(json, model);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteBoolean("has_more"u8, false);
        json.WriteString("first_id"u8, models.Count == 0 ? null : models[0]);
        json.WriteString("last_id"u8, models.Count == 0 ? null : models[^1]);
    });

    public static ReadOnlyMemory<byte> Model(string model) => WireJson.Object(json => Model(json, model));

    private static void Model(Utf8JsonWriter json, string model)
    {
        json.WriteString("type"u8, "model"u8);
        json.WriteString("id"u8, model);
        json.WriteString("display_name"u8, model);
        json.WriteString("created_at"u8, CreatedAt);
    }
}
