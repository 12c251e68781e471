using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.OpenAi;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;

namespace Caisson.Gateway.Wires.Chat;

/// <summary>Reads chat completions: whole ones, or chunk by chunk up to <c>[DONE]</c>.</summary>
internal sealed class ChatMeter(ChatCall call) : IAnswerMeter
{
    private const int MaxChoices = 128;

    private readonly SortedDictionary<int, bool> _finished = [];
    private string _id = "chatcmpl-cut";
    private long _created;
    private string? _model;
    private bool _done;

    public long OutputBytes { get; private set; }

    public TokenUsage? Usage { get; private set; }

    public string? Model => _model;

    public string? Problem { get; private set; }

    public bool IsFinished => _done && _finished.Count > 0;

    public bool Event(string name, JsonElement chunk)
    {
        Problem ??= AnswerText.ErrorIn(chunk);
        Common(chunk);
        foreach (var choice in chunk.At("choices").Items())
        {
            OutputBytes += choice.At("delta").TextBytes() + choice.At("text").TextBytes();
            var index = (int)Math.Min(choice.Figure("index") ?? 0, MaxChoices);
            _finished[index] = _finished.GetValueOrDefault(index) || !choice.At("finish_reason").IsNothing();
        }

        var isOnlyUsage = chunk.At("usage").ValueKind == JsonValueKind.Object && chunk.At("choices") is { ValueKind: JsonValueKind.Array } choices && choices.GetArrayLength() == 0;
        return call.AsksUsage || !isOnlyUsage;
    }

    public void Done() => _done = true;

    public void Document(JsonElement root)
    {
        Common(root);
        foreach (var choice in root.At("choices").Items())
            OutputBytes += choice.At("message").TextBytes();
        Problem ??= AnswerText.ErrorIn(root) ?? (root.At("choices").Count() == 0 ? "no choices" : null);
    }

    public void Terminate(IBufferWriter<byte> client)
    {
        var open = _finished.Where(c => !c.Value).Select(c => c.Key).ToList();
        if (_finished.Count == 0)
            open.Add(0);
        var choices = string.Join(',', open.Select(index => string.Create(CultureInfo.InvariantCulture, $$"""{"index":{{index}},"delta":{},"finish_reason":"length"}""")));
        var chunk = string.Create(CultureInfo.InvariantCulture, $$"""{"id":{{Body.Quoted(_id)}},"object":"chat.completion.chunk","created":{{_created}},"model":{{Body.Quoted(_model ?? call.Model)}},"choices":[{{choices}}]}""");
        client.Write(Encoding.UTF8.GetBytes($"data: {chunk}\n\ndata: [DONE]\n\n"));
    }

    private void Common(JsonElement root)
    {
        if (root.Label("id") is { } id)
            _id = id;
        if (root.At("created") is { ValueKind: JsonValueKind.Number } time && time.TryGetInt64(out var created))
            _created = created;
        _model = root.Label("model") ?? _model;
        if (root.At("usage").ValueKind == JsonValueKind.Object)
            Usage = ChatAnswer.ReadUsage(root);
    }
}
