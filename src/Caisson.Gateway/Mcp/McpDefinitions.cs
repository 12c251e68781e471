using System.Text.Json;
using System.Text.Json.Nodes;
using Caisson.Gateway.Wires.Keys;
using ModelContextProtocol;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace Caisson.Gateway.Mcp;

/// <summary>
/// What a server said of itself when the run first asked: recorded, and what the program is told from then on. A server
/// that comes with other definitions later is another server, whatever its name.
/// </summary>
/// <param name="Hash">Of the tools, whatever their order.</param>
internal sealed record McpDefinitions(Implementation Server, string? Instructions, IList<Tool> Tools, string Hash)
{
    private const int MostTools = 1_000;
    private const int MostPages = 100;
    private const int MostBytes = 4 << 20;

    public static async Task<McpDefinitions> AskAsync(McpClient client, CancellationToken cancellationToken)
    {
        var tools = new List<Tool>();
        string? cursor = null;
        long size = 0;
        for (var page = 0; page == 0 || cursor is not null; page++)
        {
            var listed = client.ServerCapabilities.Tools is null ? new ListToolsResult() : await client.ListToolsAsync(new ListToolsRequestParams { Cursor = cursor }, cancellationToken);
            tools.AddRange(listed.Tools);
            size += Serialize(listed.Tools).GetRawText().Length;
            cursor = listed.NextCursor;
            if (tools.Count > MostTools || page == MostPages)
                throw new InvalidDataException($"it lists more than {MostTools} tools, or on more than {MostPages} pages");
            if (size > MostBytes)
                throw new InvalidDataException($"its list of tools has more than {MostBytes >> 20} MiB");
        }

        return new McpDefinitions(client.ServerInfo ?? new Implementation { Name = "unnamed", Version = "unknown" }, client.ServerInstructions, tools, HashOf(tools));
    }

    /// <summary>As recorded; <c>null</c> for what is none.</summary>
    public static McpDefinitions? Read(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<JsonObject>(json, McpJsonUtilities.DefaultOptions) is { } known
                && known["server"]?.Deserialize<Implementation>(McpJsonUtilities.DefaultOptions) is { } server
                && known["tools"]?.Deserialize<List<Tool>>(McpJsonUtilities.DefaultOptions) is { } tools
                ? new McpDefinitions(server, known["instructions"]?.GetValue<string>(), tools, HashOf(tools))
                : null;
        }
        catch (Exception damage) when (damage is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    public JsonElement Write() => Serialize(new JsonObject
    {
        ["server"] = JsonSerializer.SerializeToNode(Server, McpJsonUtilities.DefaultOptions),
        ["instructions"] = Instructions,
        ["tools"] = JsonSerializer.SerializeToNode(Tools, McpJsonUtilities.DefaultOptions),
        ["hash"] = Hash,
    });

    private static string HashOf(IEnumerable<Tool> tools) => Canonical.HashOf(Serialize(tools.OrderBy(t => t.Name, StringComparer.Ordinal).ToList()));

    private static JsonElement Serialize<T>(T value) => JsonSerializer.SerializeToElement(value, McpJsonUtilities.DefaultOptions);
}
