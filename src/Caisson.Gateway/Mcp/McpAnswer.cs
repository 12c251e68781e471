using System.Text.Json;
using System.Text.Json.Nodes;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace Caisson.Gateway.Mcp;

/// <summary>A call's end as the journal keeps it, and what the program is told of it. Old journals are read for ever, so members are only added.</summary>
internal static class McpAnswer
{
    /// <summary>Member of <c>_meta</c> that has the error code of a call that the runtime itself has answered.</summary>
    public const string Code = "caisson/code";

    /// <summary>What the SDK puts before the server's own words.</summary>
    private const string SdkPrefix = "Request failed (remote): ";

    public static JsonElement Of(CallToolResult result) => Wrap("result", JsonSerializer.SerializeToNode(result, McpJsonUtilities.DefaultOptions));

    /// <summary>The server's refusal, in the protocol's own terms.</summary>
    public static JsonElement Of(McpProtocolException refusal) => Wrap("error", new JsonObject { ["code"] = (int)refusal.ErrorCode, ["message"] = refusal.Message.StartsWith(SdkPrefix, StringComparison.Ordinal) ? refusal.Message[SdkPrefix.Length..] : refusal.Message });

    /// <exception cref="McpProtocolException">The server had refused the call.</exception>
    public static CallToolResult Read(StepRecord record)
    {
        if (record.Failure is { } failure)
            return Failed(failure);
        try
        {
            using var json = JsonDocument.Parse(record.Result);
            if (json.RootElement.ValueKind == JsonValueKind.Object)
            {
                if (json.RootElement.TryGetProperty("error", out var error))
                    throw new McpProtocolException(error.GetProperty("message").GetString()!, (McpErrorCode)error.GetProperty("code").GetInt32());
                if (json.RootElement.TryGetProperty("result", out var result) && result.Deserialize<CallToolResult>(McpJsonUtilities.DefaultOptions) is { Content: not null } known)
                    return known;

                // A person has set it, in the form that results of all tools have.
                if (json.RootElement.TryGetProperty("text", out var text))
                    return new CallToolResult { Content = [new TextContentBlock { Text = text.GetString()! }] };
            }
        }
        catch (Exception damage) when (damage is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the result of tool step {record.Key} is not readable: {damage.Message}");
        }

        throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"the result of tool step {record.Key} is no answer of an MCP server");
    }

    public static CallToolResult Failed(Failure failure) => new()
    {
        IsError = true,
        Content = [new TextContentBlock { Text = $"error: {failure.Message}" }],
        Meta = new JsonObject { [Code] = failure.Code },
    };

    private static JsonElement Wrap(string name, JsonNode? value) => JsonSerializer.SerializeToElement(new JsonObject { [name] = value }, McpJsonUtilities.DefaultOptions);
}
