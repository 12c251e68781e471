using System.Globalization;
using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>
/// OpenAI responses. A turn is a run of items that the model made. A response's id ends with its turn, so that a request
/// which only names the response before it is placed without the server keeping anything.
/// </summary>
internal sealed class ResponsesWire : IWire
{
    private const int HashLength = 32;
    private const string TurnFormat = "D6";

    public string Name => WireNames.Responses;

    public string Needs => "'model' and 'input'";

    public string? CallIdPrefix => "call";

    public string? RequestIdHeader => "x-request-id";

    public Conversation Read(JsonElement request)
    {
        var transcript = new Transcript(runsAreOneTurn: true);
        transcript.System(Transcript.TextOf(request, "instructions"));
        if (request.TryGetProperty("previous_response_id", out var previous) && previous.ValueKind != JsonValueKind.Null)
            transcript.Continue(TurnOf(previous.GetString()!));
        var input = request.GetProperty("input");
        if (input.ValueKind == JsonValueKind.String)
            transcript.User(input.GetString()!);
        else
            foreach (var item in input.EnumerateArray())
                Read(transcript, item);
        return transcript.Close(Name, Transcript.ModelOf(request), request, Transcript.StreamOf(request), "instructions", "previous_response_id", "input");
    }

    public ReadOnlyMemory<byte> Whole(MockAnswer answer) => WireJson.Object(json => ResponseForm.Write(json, answer, Id(answer), ResponseState.Completed));

    public IEnumerable<ReadOnlyMemory<byte>> Stream(MockAnswer answer)
    {
        var sequence = 0;
        foreach (var (type, members) in ResponseEvents.Of(answer, Id(answer)))
            yield return Piece(type, sequence++, members);
    }

    public ReadOnlyMemory<byte> Error(Refusal refusal) => OpenAiForms.Error(refusal);

    public ReadOnlyMemory<byte> ErrorPiece(Refusal refusal, MockAnswer answer, int after) => Piece("response.failed", after, json =>
    {
        json.WriteStartObject("response"u8);
        ResponseForm.Write(json, answer, Id(answer), ResponseState.Failed, refusal);
        json.WriteEndObject();
    });

    private static ReadOnlyMemory<byte> Piece(string type, int sequence, Action<Utf8JsonWriter> members) => WireJson.Event(type, WireJson.Object(json =>
    {
        json.WriteString("type"u8, type);
        json.WriteNumber("sequence_number"u8, sequence);
        members(json);
    }));

    private static string Id(MockAnswer answer) => $"resp_{answer.Asked.Hash}{answer.Turn.ToString(TurnFormat, CultureInfo.InvariantCulture)}";

    private static int TurnOf(string id) =>
        id.StartsWith("resp_", StringComparison.Ordinal) && id.Length > "resp_".Length + HashLength
        && int.TryParse(id.AsSpan("resp_".Length + HashLength), NumberStyles.None, CultureInfo.InvariantCulture, out var turn)
            ? turn
            : throw new InvalidOperationException($"previous response '{id}' is not one of this server's.");

    private static void Read(Transcript transcript, JsonElement item)
    {
        var type = item.TryGetProperty("type", out var kind) ? kind.GetString() ?? "message" : "message";
        if (type.EndsWith("_output", StringComparison.Ordinal))
        {
            transcript.Result(Transcript.TextOf(item, "output"));
            return;
        }

        var text = Transcript.TextOf(item, "content");
        var role = type == "message" ? item.GetProperty("role").GetString() : "assistant";
        switch (role)
        {
            case "system" or "developer":
                transcript.System(text);
                break;
            case "assistant":
                // Also calls, reasoning and references to items: all that the model made.
                transcript.Assistant(text);
                break;
            default:
                transcript.User(text);
                break;
        }
    }
}
