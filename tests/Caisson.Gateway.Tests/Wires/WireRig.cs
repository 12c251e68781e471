using System.Buffers;
using System.Text;
using System.Text.Json;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Tests.Wires;

/// <summary>Requests and answers as texts.</summary>
internal static class WireRig
{
    public static WireHead Post(string path, string query = "", string? agent = null) => new("POST", path, query, agent);

    public static WireRead Read(string path, string body, string query = "", string? agent = null)
    {
        var head = Post(path, query, agent);
        return Gateway.Wires.Wires.Route(head)!.Read(head, Encoding.UTF8.GetBytes(body));
    }

    public static WireCall Call(string path, string body, string query = "", string? agent = null) =>
        Read(path, body, query, agent) switch
        {
            WireRead.Call(var call) => call,
            WireRead.Refused(var error) => throw new InvalidOperationException($"refused: {error}"),
            var other => throw new InvalidOperationException($"{other}"),
        };

    public static WireError Refusal(string path, string body, string query = "") =>
        Assert.IsType<WireRead.Refused>(Read(path, body, query)).Error;

    public static string Sent(this WireCall call, string model = "up-1", int maxOutput = 100) => Encoding.UTF8.GetString(call.For(model, maxOutput).Body.Span);

    /// <summary>The same JSON, blanks and order of members aside.</summary>
    public static void SameJson(string expected, string actual) =>
        Assert.True(JsonElement.DeepEquals(Parse(expected), Parse(actual)), $"expected {expected}\nfound    {actual}");

    public static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    /// <summary>Lets a call's reader read an answer in pieces.</summary>
    /// <param name="cuts">Where the bytes are cut.</param>
    public static (string Client, AnswerEnd End, long OutputBytes) Answer(WireCall call, string answer, params IEnumerable<int> cuts)
    {
        var bytes = Encoding.UTF8.GetBytes(answer);
        var client = new ArrayBufferWriter<byte>();
        var reader = call.Wire.Follow(call);
        var from = 0;
        foreach (var cut in cuts.Select(c => Math.Min(c, bytes.Length)).Append(bytes.Length).Order())
        {
            reader.Take(bytes.AsSpan(from, cut - from), client);
            from = cut;
        }

        var end = reader.End(client);
        return (Encoding.UTF8.GetString(client.WrittenSpan), end, reader.OutputBytes);
    }

    /// <summary>What a client has of a stream that was cut after so many bytes.</summary>
    public static string CutAfter(WireCall call, string answer, int bytes)
    {
        var client = new ArrayBufferWriter<byte>();
        var reader = call.Wire.Follow(call);
        reader.Take(Encoding.UTF8.GetBytes(answer).AsSpan(0, bytes), client);
        reader.Cut(client);
        return Encoding.UTF8.GetString(client.WrittenSpan);
    }

    /// <summary>Every cut in two, and every byte alone: the client gets the same, and the end is the same.</summary>
    public static void SameWhereverCut(WireCall call, string answer)
    {
        var whole = Answer(call, answer);
        var length = Encoding.UTF8.GetByteCount(answer);
        for (var cut = 0; cut <= length; cut++)
            Assert.Equal(whole, Answer(call, answer, cut));
        Assert.Equal(whole, Answer(call, answer, Enumerable.Range(0, length)));
    }

    /// <summary>The data of each event of a stream.</summary>
    public static string[] Data(string stream) =>
        [.. stream.Split('\n').Select(l => l.TrimEnd('\r')).Where(l => l.StartsWith("data: ", StringComparison.Ordinal)).Select(l => l[6..])];
}
