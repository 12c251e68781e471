using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Caisson.MockModel;

/// <summary>Gathers what a wire's messages say, in their order, into a <see cref="Conversation"/>.</summary>
/// <param name="runsAreOneTurn">What the model said in several parts in a row counts once.</param>
internal sealed class Transcript(bool runsAreOneTurn)
{
    private string _system = "";
    private string? _input;
    private string _last = "";
    private string _tool = "";
    private int _turns;
    private bool _modelSpoke;

    public static string ModelOf(JsonElement request) =>
        request.GetProperty("model").GetString() ?? throw new InvalidOperationException("'model' is null.");

    public static StreamForm StreamOf(JsonElement request) =>
        request.TryGetProperty("stream", out var flag) && flag.ValueKind == JsonValueKind.True ? StreamForm.Events : StreamForm.None;

    /// <summary>The text of a member that is a text, or a list of parts of which some have a text.</summary>
    public static string TextOf(JsonElement holder, string name) => holder.TryGetProperty(name, out var content) ? Text(content) : "";

    public static string Text(JsonElement content) => content.ValueKind switch
    {
        JsonValueKind.String => content.GetString()!,
        JsonValueKind.Array => string.Concat(content.EnumerateArray().Select(part => part.TryGetProperty("text", out var text) ? text.GetString() : "")),
        _ => "",
    };

    public void System(string text)
    {
        _system += text;
        _last = text;
    }

    /// <param name="results">Tool results that stand in the same message.</param>
    public void User(string text, string results = "")
    {
        if (results.Length == 0 || text.Length > 0)
            _input ??= text;
        _tool += results;
        _last = results + text;
        _modelSpoke = false;
    }

    public void Result(string text)
    {
        _tool += text;
        _last = text;
        _modelSpoke = false;
    }

    public void Assistant(string text)
    {
        if (!_modelSpoke || !runsAreOneTurn)
            _turns++;
        _modelSpoke = true;
        _tool = "";
        _last = text;
    }

    /// <summary>So many turns came before what the request holds.</summary>
    public void Continue(int turns) => _turns = turns;

    /// <param name="said">The members in which the conversation stands.</param>
    public Conversation Close(string wire, string model, JsonElement request, StreamForm stream, params ReadOnlySpan<string> said)
    {
        var (hash, bytes) = Digest(model, request, said);
        var toolBytes = request.TryGetProperty("tools", out var tools) ? Encoding.UTF8.GetByteCount(tools.GetRawText()) : 0;
        return new Conversation(wire, model, _system, _input ?? "", _last, _tool, _turns, hash, Tokens.Count(bytes + toolBytes), stream, request);
    }

    private static (string Hash, long Bytes) Digest(string model, JsonElement request, ReadOnlySpan<string> said)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            json.WriteStringValue(model);
            foreach (var name in said)
            {
                if (request.TryGetProperty(name, out var member))
                    member.WriteTo(json);
            }

            json.WriteEndArray();
        }

        var bytes = buffer.GetBuffer().AsSpan(0, (int)buffer.Length);
        return (Convert.ToHexStringLower(SHA256.HashData(bytes))[..32], bytes.Length);
    }
}
