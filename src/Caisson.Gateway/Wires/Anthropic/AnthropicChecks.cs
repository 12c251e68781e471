using System.Text.Json;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Anthropic;

/// <summary>What a request of Anthropic's wire may hold below its top level, and what its messages say.</summary>
internal static class AnthropicChecks
{
    // Anthropic's own tools that the client runs. All others of its making run at Anthropic.
    private static readonly string[] RunByClient = ["bash_", "text_editor_", "computer_", "memory_"];

    /// <summary>Leaving out of what is old costs nothing; making a summary of it does, and is in no usage.</summary>
    public static WireError? Context(JsonElement management) =>
        management.At("edits").Items().Select(e => e.Text("type") ?? "").Where(t => !t.StartsWith("clear_", StringComparison.Ordinal))
            .Select(t => FieldRules.Denied($"context_management.edits '{FieldRules.Name(t)}'", FieldRules.Unpriced)).FirstOrDefault();

    public static WireError? Tools(JsonElement tools)
    {
        if (tools.IsNothing())
            return null;
        if (OpenAiChecks.List(tools, "tools", least: 0) is { } problem)
            return problem;
        return tools.Items().Index().Where(t => !IsOwn(t.Item.At("type")))
            .Select(t => FieldRules.Denied($"tools[{t.Index}].type '{FieldRules.Name(t.Item.Text("type"))}'", FieldRules.Connects)).FirstOrDefault();
    }

    public static WireError? System(JsonElement system) => system.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.String => null,
        _ => OpenAiChecks.List(system, "system", least: 0)
            ?? system.Items().Index().Where(b => !b.Item.Is("type", "text")).Select(b => FieldRules.Invalid($"system[{b.Index}].type", "expected text")).FirstOrDefault(),
    };

    public static WireError? Messages(JsonElement messages)
    {
        if (OpenAiChecks.List(messages, "messages") is { } problem)
            return problem;
        return messages.Items().Index().Select(m => m.Item.At("role").ValueKind == JsonValueKind.String
            ? Content(m.Item.At("content"), $"messages[{m.Index}].content", levels: 3)
            : FieldRules.Invalid($"messages[{m.Index}].role", "expected a text")).FirstOrDefault(e => e is not null);
    }

    public static long Media(JsonElement messages, string model) => messages.Items().Sum(m => MediaIn(m.At("content"), model, levels: 3));

    public static IReadOnlyList<ToolTurn> Turns(JsonElement messages)
    {
        var log = new TurnLog();
        foreach (var block in messages.Items().SelectMany(m => m.At("content").Items()))
        {
            if (block.Is("type", "tool_use"))
                log.Call(block.Text("id"), block.Text("name"), Canonical.HashOf(block.At("input")));
            else if (block.Is("type", "tool_result"))
                log.Result(block.Text("tool_use_id"), block.At("content"), block.IsTrue("is_error"));
        }

        return log.Turns;
    }

    private static bool IsOwn(JsonElement type) =>
        type.IsNothing() || type.Text() is { } name && (name == "custom" || RunByClient.Any(own => name.StartsWith(own, StringComparison.Ordinal)));

    private static WireError? Content(JsonElement content, string at, int levels) => content.ValueKind switch
    {
        JsonValueKind.String => null,
        JsonValueKind.Undefined or JsonValueKind.Null when levels < 3 => null,
        JsonValueKind.Array when levels > 0 => content.Items().Index().Select(b => Block(b.Item, $"{at}[{b.Index}]", levels - 1)).FirstOrDefault(e => e is not null),
        _ => FieldRules.Invalid(at, "expected a text or a list of blocks"),
    };

    private static WireError? Block(JsonElement block, string at, int levels) => block.Text("type") switch
    {
        _ when block.ValueKind != JsonValueKind.Object => FieldRules.Invalid(at, "expected an object"),
        "text" or "thinking" or "redacted_thinking" or "tool_use" or "search_result" or "tool_reference" => null,
        "image" or "document" => Source(block.At("source"), $"{at}.source", levels),
        "tool_result" => Content(block.At("content"), $"{at}.content", levels),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", "is not known here, and could make the provider fetch or run something; send text, or an image as base64"),
    };

    private static WireError? Source(JsonElement source, string at, int levels) => source.Text("type") switch
    {
        "base64" or "text" => null,
        "content" => Content(source.At("content"), $"{at}.content", levels),
        "file" => FieldRules.Denied($"{at}.file_id", FieldRules.Refers),
        "url" => FieldRules.Denied($"{at}.url", "the provider would fetch it, past this run's egress; send the content as base64"),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", "is not known here; send the content as base64"),
    };

    private static long MediaIn(JsonElement content, string model, int levels) => levels == 0 ? 0 : content.Items().Sum(block => block.Text("type") switch
    {
        "image" => MediaBounds.Image(model),
        "document" when block.At("source").Is("type", "base64") => MediaBounds.Other(block.At("source").Text("media_type")),
        "document" => MediaIn(block.At("source").At("content"), model, levels - 1),
        "tool_result" => MediaIn(block.At("content"), model, levels - 1),
        _ => 0,
    });
}
