using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;

namespace Caisson.Gateway.Wires.Responses;

/// <summary>Reads responses: whole ones, or event by event up to the one that ends them and carries the usage.</summary>
internal sealed class ResponsesMeter(WireCall call) : IAnswerMeter
{
    private string _id = "resp_cut";
    private long _created;
    private long _sequence = -1;

    public long OutputBytes { get; private set; }

    public TokenUsage? Usage { get; private set; }

    public string? Model { get; private set; }

    public string? Problem { get; private set; }

    public bool IsFinished { get; private set; }

    public bool Event(string name, JsonElement data)
    {
        var type = data.Text("type") ?? name;
        _sequence = data.Figure("sequence_number") ?? _sequence;
        if (type.EndsWith(".delta", StringComparison.Ordinal))
            OutputBytes += data.At("delta").TextBytes();
        if (data.At("response").ValueKind == JsonValueKind.Object)
            Common(data.At("response"));
        switch (type)
        {
            // An answer that is too long is one: the client asked for no more.
            case "response.completed" or "response.incomplete":
                IsFinished = true;
                break;
            case "response.failed" or "response.cancelled":
                Problem ??= AnswerText.ErrorIn(data.At("response")) ?? type;
                break;
            case "error":
                Problem ??= AnswerText.ErrorIn(data) ?? $"an error: {FieldRules.Name(data.Text("message"))}";
                break;
        }

        return true;
    }

    public void Done()
    {
    }

    public void Document(JsonElement root)
    {
        Common(root);
        OutputBytes += root.At("output").TextBytes();
        Problem ??= AnswerText.ErrorIn(root) ?? root switch
        {
            _ when root.At("output").ValueKind != JsonValueKind.Array => "no output",
            _ when root.Text("status") is not (null or "completed" or "incomplete") => $"status {FieldRules.Name(root.Text("status"))}",
            _ => null,
        };
    }

    public void Terminate(IBufferWriter<byte> client)
    {
        var response = string.Create(CultureInfo.InvariantCulture, $$$"""{"id":{{{Body.Quoted(_id)}}},"object":"response","created_at":{{{_created}}},"status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},"model":{{{Body.Quoted(Model ?? call.Model)}}},"output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"metadata":{},"usage":null}""");
        if (_sequence < 0)
            Write(client, "response.created", response.Replace("\"status\":\"incomplete\"", "\"status\":\"in_progress\"", StringComparison.Ordinal));
        Write(client, "response.incomplete", response);
    }

    private void Write(IBufferWriter<byte> client, string type, string response) =>
        client.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $$"""
            event: {{type}}
            data: {"type":"{{type}}","sequence_number":{{++_sequence}},"response":{{response}}}


            """)));

    private void Common(JsonElement response)
    {
        _id = response.Label("id") ?? _id;
        _created = response.At("created_at") is { ValueKind: JsonValueKind.Number } time && time.TryGetInt64(out var created) ? created : _created;
        Model = response.Label("model") ?? Model;
        var usage = response.At("usage");
        if (usage.IsNothing())
            return;
        var cached = usage.At("input_tokens_details").Figure("cached_tokens") ?? 0;
        Usage = usage.Figure("input_tokens") is > 0 and var input && usage.Figure("output_tokens") is { } output
            ? new TokenUsage(input, output, Math.Min(cached, input))
            : null;
    }
}
