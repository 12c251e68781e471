using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>OpenAI embeddings: each input's vector is made of its digest, of length one and the same every time. A script's texts have no place in it.</summary>
internal sealed class EmbeddingsWire : IWire
{
    private const int DefaultDimensions = 8;
    private const int MaxDimensions = 4096;
    private const int MaxInputs = 2048;

    public string Name => WireNames.Embeddings;

    public string Needs => "'model' and 'input'";

    public string? CallIdPrefix => null;

    public string? RequestIdHeader => "x-request-id";

    public Conversation Read(JsonElement request)
    {
        var transcript = new Transcript(runsAreOneTurn: true);
        var inputs = Inputs(request);
        if (inputs.Count is 0 or > MaxInputs)
            throw new InvalidOperationException($"'input' must have 1 to {MaxInputs} texts.");
        if (Dimensions(request) is < 1 or > MaxDimensions)
            throw new InvalidOperationException($"'dimensions' must be 1 to {MaxDimensions}.");
        transcript.User(string.Concat(inputs));
        return transcript.Close(Name, Transcript.ModelOf(request), request, StreamForm.None, "input");
    }

    public ReadOnlyMemory<byte> Whole(MockAnswer answer) => WireJson.Object(json =>
    {
        var request = answer.Asked.Request;
        var asText = request.TryGetProperty("encoding_format", out var format) && format.ValueKind == JsonValueKind.String && format.ValueEquals("base64"u8);
        json.WriteString("object"u8, "list"u8);
        json.WriteStartArray("data"u8);
        var index = 0;
        foreach (var input in Inputs(request))
        {
            json.WriteStartObject();
            json.WriteString("object"u8, "embedding"u8);
            json.WriteNumber("index"u8, index++);
            Write(json, Vector(input, Dimensions(request)), asText);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("model"u8, answer.Asked.Model);
        if (answer.Usage is { } usage)
        {
            json.WriteStartObject("usage"u8);
            json.WriteNumber("prompt_tokens"u8, usage.Input);
            json.WriteNumber("total_tokens"u8, usage.Total);
            json.WriteEndObject();
        }
    });

    public IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer) => [Whole(answer)];

    public ReadOnlyMemory<byte> Error(Refusal refusal) => OpenAiForms.Error(refusal);

    public ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after) => Error(refusal);

    private static int Dimensions(JsonElement request) =>
        request.TryGetProperty("dimensions", out var number) && number.ValueKind != JsonValueKind.Null
            ? number.TryGetInt32(out var dimensions) ? dimensions : 0
            : DefaultDimensions;

    /// <summary>A text, a list of texts, a list of token numbers, or a list of such lists.</summary>
    private static List<string> Inputs(JsonElement request)
    {
        var input = request.GetProperty("input");
        var many = input.ValueKind == JsonValueKind.Array && (input.GetArrayLength() == 0 || input[0].ValueKind != JsonValueKind.Number);
        return many ? [.. input.EnumerateArray().Select(One)] : [One(input)];

        static string One(JsonElement item) => item.ValueKind == JsonValueKind.String ? item.GetString()! : item.GetRawText();
    }

    private static float[] Vector(string input, int dimensions)
    {
        var digest = SHA256.HashData(Encoding.UTF8.GetBytes(input));
        var vector = new float[dimensions];
        for (var i = 0; i < dimensions; i++)
        {
            // As many digests of the digest as there are dimensions to fill.
            if (i > 0 && i % digest.Length == 0)
                digest = SHA256.HashData(digest);
            vector[i] = digest[i % digest.Length] - 127.5f;
        }

        var length = MathF.Sqrt(vector.Sum(x => x * x));
        return Array.ConvertAll(vector, x => x / length);
    }

    private static void Write(Utf8JsonWriter json, float[] vector, bool asText)
    {
        if (asText)
        {
            var bytes = new byte[vector.Length * sizeof(float)];
            for (var i = 0; i < vector.Length; i++)
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), vector[i]);
            json.WriteBase64String("embedding"u8, bytes);
            return;
        }

        json.WriteStartArray("embedding"u8);
        foreach (var number in vector)
            json.WriteNumberValue(number);
        json.WriteEndArray();
    }
}
