using System.Text.Json;
using Caisson.Gateway.Tests.Harness;

namespace Caisson.Gateway.Tests.Mock;

/// <summary>A plain client of the mock, on any of its paths.</summary>
internal static class MockClient
{
    /// <summary>Says something long enough for several pieces and calls two tools; then calls once more; then ends.</summary>
    public const string Script = """
        model: m
        turns:
          - say: Let me look — 日本語 and 🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂 in many small pieces of text.
            call:
              - { name: shell, arguments: { command: "ls -la /workspace # {{turn}}" } }
              - { name: files, arguments: { op: read } }
            usage: { input: 1000, output: 300, cached: 200, written: 100, reasoning: 50 }
          - call: { name: shell, arguments: { command: make } }
          - say: "You asked: {{input}}"
        """;

    public const string Said = "Let me look — 日本語 and 🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂 in many small pieces of text.";
    public const string Command = """{"command":"ls -la /workspace # 1"}""";

    public static readonly HttpClient Http = new();

    public static async Task<HttpResponseMessage> SendAsync(Rig rig, string path, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(rig.Server.Root, path)) { Content = new StringContent(body) };
        return await Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    public static async Task<string> PostAsync(Rig rig, string path, string body)
    {
        using var response = await SendAsync(rig, path, body);
        return await response.Content.ReadAsStringAsync();
    }

    public static async Task<JsonElement> PostJsonAsync(Rig rig, string path, string body) => Json(await PostAsync(rig, path, body));

    /// <summary>What arrives before the answer ends or its connection breaks.</summary>
    public static async Task<(string Text, bool Whole)> ReadAsync(Rig rig, string path, string body)
    {
        using var response = await SendAsync(rig, path, body);
        var text = new MemoryStream();
        try
        {
            await response.Content.CopyToAsync(text);
            return (System.Text.Encoding.UTF8.GetString(text.ToArray()), true);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return (System.Text.Encoding.UTF8.GetString(text.ToArray()), false);
        }
    }

    public static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    /// <summary>Server-sent events; what is no JSON, such as <c>[DONE]</c>, has no data.</summary>
    public static (string? Name, JsonElement Data)[] Events(string stream) =>
        [.. stream.ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(text =>
        {
            var lines = text.Split('\n').Select(line => line.Split(": ", 2)).ToLookup(line => line[0], line => line[1]);
            return (lines["event"].SingleOrDefault(), lines["data"].Single() is ['{', ..] data ? Json(data) : default);
        })];

    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;

    public static JsonElement At(this JsonElement element, string name, int index) => element.GetProperty(name)[index];
}
