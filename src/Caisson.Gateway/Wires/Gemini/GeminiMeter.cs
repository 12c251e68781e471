using System.Buffers;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;

namespace Caisson.Gateway.Wires.Gemini;

/// <summary>Reads answers of Google's wire: whole ones, or part by part until each candidate has its reason to end.</summary>
internal sealed class GeminiMeter(WireCall call, bool isSse) : IAnswerMeter
{
    private const int MaxCandidates = 128;

    private readonly SortedDictionary<int, bool> _finished = [];
    private bool _begun;
    private bool _closed;
    private bool _blocked;

    public long OutputBytes { get; private set; }

    public TokenUsage? Usage { get; private set; }

    public string? Model { get; private set; }

    public string? Problem { get; private set; }

    public bool IsFinished => (isSse || _closed) && (_blocked || (_finished.Count > 0 && _finished.Values.All(f => f)));

    public bool Event(string name, JsonElement data)
    {
        _begun = true;
        Problem ??= AnswerText.ErrorIn(data);
        Model = data.Label("modelVersion") ?? Model;
        // A prompt that was blocked has no candidates, and that is the answer.
        _blocked |= !data.At("promptFeedback").At("blockReason").IsNothing();
        foreach (var candidate in data.At("candidates").Items())
        {
            OutputBytes += candidate.At("content").TextBytes();
            var index = (int)Math.Min(candidate.Figure("index") ?? 0, MaxCandidates);
            _finished[index] = _finished.GetValueOrDefault(index) || !candidate.At("finishReason").IsNothing();
        }

        if (data.At("usageMetadata").ValueKind == JsonValueKind.Object)
            Usage = Count(data.At("usageMetadata"));
        return true;
    }

    public void Done() => _closed = true;

    public void Document(JsonElement root)
    {
        Event("", root);
        if (_finished.Count == 0 && !_blocked)
            Problem ??= "no candidates";
    }

    public void Terminate(IBufferWriter<byte> client)
    {
        var last = $$$"""{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":""}]},"finishReason":"MAX_TOKENS"}],"modelVersion":{{{Body.Quoted(Model ?? call.Model)}}}}""";
        if (isSse)
            client.Write(Encoding.UTF8.GetBytes($"data: {last}\r\n\r\n"));
        else if (!_closed)
            client.Write(Encoding.UTF8.GetBytes($"{(_begun ? "," : "[")}{last}]"));
    }

    /// <summary>Thoughts are output, and what the provider's own tools put in is input. Whatever else is in the total counts as output, which is dearer.</summary>
    private static TokenUsage? Count(JsonElement usage)
    {
        string[] figures = ["promptTokenCount", "toolUsePromptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"];
        if (figures.Any(name => !usage.At(name).IsNothing() && usage.Figure(name) is null))
            return null;
        var input = (usage.Figure("promptTokenCount") ?? 0) + (usage.Figure("toolUsePromptTokenCount") ?? 0);
        var output = (usage.Figure("candidatesTokenCount") ?? 0) + (usage.Figure("thoughtsTokenCount") ?? 0);
        output = Math.Max(output, (usage.Figure("totalTokenCount") ?? 0) - input);
        return input == 0 ? null : new TokenUsage(input, output, Math.Min(usage.Figure("cachedContentTokenCount") ?? 0, input));
    }
}
