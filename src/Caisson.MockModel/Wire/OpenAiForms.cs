using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>What the OpenAI wires share: errors and the list of models.</summary>
internal static class OpenAiForms
{
    public static ReadOnlyMemory<byte> Error(Refusal refusal) => WireJson.Object(json =>
    {
        json.WriteStartObject("error"u8);
        json.WriteString("message"u8, refusal.Message);
        json.WriteString("type"u8, refusal.Status switch
        {
            429 => "rate_limit_error",
            >= 500 => "server_error",
            _ => "invalid_request_error",
        });
        json.WriteNull("param"u8);
        json.WriteString("code"u8, refusal.Code);
        json.WriteEndObject();
    });

    public static ReadOnlyMemory<byte> Models(IEnumerable<string> models) => WireJson.Object(json =>
    {
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        foreach (var model in models)
        {
            json.WriteStartObject();
            Model(json, model);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    public static ReadOnlyMemory<byte> Model(string model) => WireJson.Object(json => Model(json, model));

    private static void Model(Utf8JsonWriter json, string model)
    {
        json.WriteString("id"u8, model);
        json.WriteString("object"u8, "model"u8);
        json.WriteNumber("created"u8, WireJson.Created);
        json.WriteString("owned_by"u8, "mock"u8);
    }
}
