using System.Text.Json;

namespace Caisson.MockModel.Wire;

/// <summary>
/// The events of a streamed response, in the order that clients rely on: the response begins; each item is added, grows
/// and is done; the response is completed, and only then tells its usage.
/// </summary>
internal static class ResponseEvents
{
    public static IEnumerable<(string Type, Action<Utf8JsonWriter> Members)> Of(MockAnswer answer, string id)
    {
        yield return ("response.created", Response(answer, id, ResponseState.InProgress));
        yield return ("response.in_progress", Response(answer, id, ResponseState.InProgress));
        var place = 0;
        if (answer.HasText)
        {
            foreach (var message in Message(answer, place))
                yield return message;
            place++;
        }

        for (var i = 0; i < answer.Calls.Count; i++, place++)
        {
            foreach (var call in Call(answer, i, place))
                yield return call;
        }

        yield return ("response.completed", Response(answer, id, ResponseState.Completed));
    }

    private static IEnumerable<(string, Action<Utf8JsonWriter>)> Message(MockAnswer answer, int place)
    {
        yield return ("response.output_item.added", Item(place, json => ResponseForm.WriteMessage(json, answer, done: false)));
        yield return ("response.content_part.added", OfPart(json => Part(json, "")));
        foreach (var piece in WireJson.Pieces(answer.Say))
            yield return ("response.output_text.delta", OfPart(json => Text(json, "delta", piece)));
        yield return ("response.output_text.done", OfPart(json => Text(json, "text", answer.Say)));
        yield return ("response.content_part.done", OfPart(json => Part(json, answer.Say)));
        yield return ("response.output_item.done", Item(place, json => ResponseForm.WriteMessage(json, answer, done: true)));

        Action<Utf8JsonWriter> OfPart(Action<Utf8JsonWriter> members) => json =>
        {
            json.WriteString("item_id"u8, ResponseForm.MessageId(answer));
            json.WriteNumber("output_index"u8, place);
            json.WriteNumber("content_index"u8, 0);
            members(json);
        };

        static void Text(Utf8JsonWriter json, string name, string text)
        {
            json.WriteString(name, text);
            json.WriteStartArray("logprobs"u8);
            json.WriteEndArray();
        }

        static void Part(Utf8JsonWriter json, string text)
        {
            json.WriteStartObject("part"u8);
            ResponseForm.WritePart(json, text);
            json.WriteEndObject();
        }
    }

    private static IEnumerable<(string, Action<Utf8JsonWriter>)> Call(MockAnswer answer, int index, int place)
    {
        yield return ("response.output_item.added", Item(place, json => ResponseForm.WriteCall(json, answer, index, done: false)));
        foreach (var piece in WireJson.Pieces(answer.Calls[index].Arguments))
            yield return ("response.function_call_arguments.delta", OfCall(json => json.WriteString("delta"u8, piece)));
        yield return ("response.function_call_arguments.done", OfCall(json =>
        {
            json.WriteString("name"u8, answer.Calls[index].Name);
            json.WriteString("arguments"u8, answer.Calls[index].Arguments);
        }));
        yield return ("response.output_item.done", Item(place, json => ResponseForm.WriteCall(json, answer, index, done: true)));

        Action<Utf8JsonWriter> OfCall(Action<Utf8JsonWriter> members) => json =>
        {
            json.WriteString("item_id"u8, ResponseForm.CallItemId(answer, index));
            json.WriteNumber("output_index"u8, place);
            members(json);
        };
    }

    private static Action<Utf8JsonWriter> Item(int place, Action<Utf8JsonWriter> members) => json =>
    {
        json.WriteNumber("output_index"u8, place);
        json.WriteStartObject("item"u8);
        members(json);
        json.WriteEndObject();
    };

    private static Action<Utf8JsonWriter> Response(MockAnswer answer, string id, ResponseState state) => json =>
    {
        json.WriteStartObject("response"u8);
        ResponseForm.Write(json, answer, id, state);
        json.WriteEndObject();
    };
}
