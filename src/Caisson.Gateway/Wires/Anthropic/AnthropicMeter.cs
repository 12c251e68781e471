using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Wires.Answers;

namespace Caisson.Gateway.Wires.Anthropic;

/// <summary>Reads messages of Anthropic: whole ones, or event by event up to <c>message_stop</c>.</summary>
internal sealed class AnthropicMeter(WireCall call) : IAnswerMeter
{
    /// <summary>
    /// Percent. To keep a token in the cache for an hour costs twice plain input, the table's rate is for five minutes,
    /// 1.25 times. The rest counts as plain input, so that the bill is right to the token.
    /// </summary>
    public const int HourSurcharge = 75;

    private static readonly string[] Figures = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];

    private readonly Dictionary<string, long> _figures = [];
    private readonly SortedSet<long> _open = [];
    private long _hour;
    private bool _impossible;
    private bool _told;
    private bool _begun;

    public long OutputBytes { get; private set; }

    public string? Model { get; private set; }

    public string? Problem { get; private set; }

    public bool IsFinished { get; private set; }

    public TokenUsage? Usage
    {
        get
        {
            var written = _figures.GetValueOrDefault("cache_creation_input_tokens");
            var read = _figures.GetValueOrDefault("cache_read_input_tokens");
            var input = _figures.GetValueOrDefault("input_tokens") + written + read;
            // What a stream begins with is no bill: the output has yet to come.
            if (_impossible || !_told || input == 0 || !_figures.TryGetValue("output_tokens", out var output))
                return null;
            var surcharge = ((Math.Min(_hour, written) * HourSurcharge) + 99) / 100;
            return new TokenUsage(input + surcharge, output, read, written);
        }
    }

    public bool Event(string name, JsonElement data)
    {
        switch (data.Text("type"))
        {
            case "message_start":
                _begun = true;
                Common(data.At("message"));
                break;
            case "content_block_start":
                if (data.Figure("index") is { } opened and < 10_000)
                    _open.Add(opened);
                OutputBytes += data.At("content_block").TextBytes();
                break;
            case "content_block_delta":
                OutputBytes += data.At("delta").TextBytes();
                break;
            case "content_block_stop":
                if (data.Figure("index") is { } closed)
                    _open.Remove(closed);
                break;
            case "message_delta":
                _told = data.At("usage").ValueKind == JsonValueKind.Object;
                Count(data.At("usage"));
                break;
            case "message_stop":
                IsFinished = true;
                break;
            case "error":
                Problem ??= AnswerText.ErrorIn(data) ?? "an error";
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
        _told = true;
        OutputBytes += root.At("content").TextBytes();
        Problem ??= AnswerText.ErrorIn(root) ?? (root.At("content").ValueKind == JsonValueKind.Array ? null : "no content");
    }

    public void Terminate(IBufferWriter<byte> client)
    {
        if (!_begun)
            Write(client, "message_start", $$$""","message":{"id":"msg_cut","type":"message","role":"assistant","model":{{{Body.Quoted(call.Model)}}},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}""");
        foreach (var index in _open)
            Write(client, "content_block_stop", string.Create(CultureInfo.InvariantCulture, $",\"index\":{index}"));
        var output = _figures.GetValueOrDefault("output_tokens").ToString(CultureInfo.InvariantCulture);
        Write(client, "message_delta", $$$""","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":{{{output}}}}""");
        Write(client, "message_stop", "");
    }

    private static void Write(IBufferWriter<byte> client, string type, string rest) =>
        client.Write(Encoding.UTF8.GetBytes($"event: {type}\ndata: {{\"type\":\"{type}\"{rest}}}\n\n"));

    private void Common(JsonElement message)
    {
        Model = message.Label("model") ?? Model;
        Count(message.At("usage"));
    }

    // Each event tells totals, but not each tells all of them.
    private void Count(JsonElement usage)
    {
        foreach (var name in Figures.Where(name => !usage.At(name).IsNothing()))
        {
            if (usage.Figure(name) is { } count)
                _figures[name] = count;
            else
                _impossible = true;
        }

        _hour = usage.At("cache_creation").Figure("ephemeral_1h_input_tokens") ?? _hour;
    }
}
