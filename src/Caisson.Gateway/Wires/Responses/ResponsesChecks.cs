using System.Text.Json;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Responses;

/// <summary>What a request of the responses wire may hold below its top level, and what its items say.</summary>
internal static class ResponsesChecks
{
    /// <summary>Tools that the client runs itself, alone or gathered under a name.</summary>
    public static WireError? Tools(JsonElement tools, string at, int levels)
    {
        if (tools.IsNothing())
            return null;
        if (OpenAiChecks.List(tools, at, least: 0) is { } problem)
            return problem;
        return tools.Items().Index().Select(t => Tool(t.Item, $"{at}[{t.Index}]", levels - 1)).FirstOrDefault(e => e is not null);
    }

    public static int CountTools(JsonElement tools) => tools.Items().Sum(t => 1 + t.At("tools").Count());

    public static WireError? Input(JsonElement input, string at, bool isRequired)
    {
        if (input.ValueKind == JsonValueKind.String || (input.IsNothing() && !isRequired))
            return null;
        return OpenAiChecks.List(input, at) ?? input.Items().Index().Select(i => Item(i.Item, $"{at}[{i.Index}]")).FirstOrDefault(e => e is not null);
    }

    public static long Media(JsonElement input, string model) =>
        input.Items().SelectMany(i => i.At("content").Items().Concat(i.At("output").Items())).Sum(part => part.Text("type") switch
        {
            "input_image" => MediaBounds.Image(model),
            "input_audio" => MediaBounds.Sound(part.At("input_audio").Text("format")),
            "input_file" => MediaBounds.Other(MediaBounds.InlineType(part.Text("file_data"))),
            _ => 0,
        });

    public static IReadOnlyList<ToolTurn> Turns(JsonElement input)
    {
        var log = new TurnLog();
        foreach (var item in input.Items())
        {
            var type = item.Text("type") ?? "";
            if (type.EndsWith("_call_output", StringComparison.Ordinal))
                log.Result(item.Text("call_id"), item.At("output"));
            else if (type.EndsWith("_call", StringComparison.Ordinal))
                log.Call(item.Text("call_id"), item.Text("name") ?? type, Arguments(item));
        }

        return log.Turns;
    }

    private static string Arguments(JsonElement item) =>
        (item.Text("arguments") ?? item.Text("input")) is { } text
            ? TurnLog.Arguments(text)
            : Canonical.HashOf(item.At("action") is { ValueKind: JsonValueKind.Object } action ? action : item.At("operation"));

    private static WireError? Tool(JsonElement tool, string at, int levels) => tool.Text("type") switch
    {
        "function" or "custom" or "local_shell" or "apply_patch" => null,
        // A shell runs where its environment says; without one, at the provider.
        "shell" when tool.At("environment").Is("type", "local") => null,
        "tool_search" when tool.Is("execution", "client") => null,
        "namespace" when levels > 0 => Tools(tool.At("tools"), $"{at}.tools", levels),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", FieldRules.Connects),
    };

    private static WireError? Item(JsonElement item, string at) => (item.Text("type") ?? (item.At("role").IsNothing() ? "" : "message")) switch
    {
        "message" => Parts(item.At("content"), $"{at}.content"),
        "function_call_output" or "custom_tool_call_output" or "local_shell_call_output" => Parts(item.At("output"), $"{at}.output"),
        // What a search of the client's found are tools as good as those at the top.
        "tool_search_output" => Tools(item.At("tools"), $"{at}.tools", levels: 2),
        "function_call" or "custom_tool_call" or "local_shell_call" or "shell_call" or "shell_call_output" or "apply_patch_call"
            or "apply_patch_call_output" or "tool_search_call" or "reasoning" or "compaction" or "compaction_summary" => null,
        "item_reference" => FieldRules.Denied(at, FieldRules.Refers),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", "is not known here, and could make the provider fetch or run something; leave it out"),
    };

    private static WireError? Parts(JsonElement content, string at) => content.ValueKind switch
    {
        JsonValueKind.String or JsonValueKind.Undefined or JsonValueKind.Null => null,
        JsonValueKind.Array => content.Items().Index().Select(p => Part(p.Item, $"{at}[{p.Index}]")).FirstOrDefault(e => e is not null),
        _ => FieldRules.Invalid(at, "expected a text or a list of parts"),
    };

    private static WireError? Part(JsonElement part, string at) => part.Text("type") switch
    {
        _ when part.ValueKind != JsonValueKind.Object => FieldRules.Invalid(at, "expected an object"),
        _ when !part.At("file_id").IsNothing() => FieldRules.Denied($"{at}.file_id", FieldRules.Refers),
        _ when !part.At("file_url").IsNothing() => OpenAiChecks.Inline(null, $"{at}.file_url"),
        "input_text" or "output_text" or "text" or "refusal" or "summary_text" or "reasoning_text" or "input_audio" => null,
        "input_image" => OpenAiChecks.Inline(part.Text("image_url"), $"{at}.image_url"),
        "input_file" => OpenAiChecks.Inline(part.Text("file_data"), $"{at}.file_data"),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", "is not known here, and could make the provider fetch something; send text, or an image as a data: URL"),
    };
}
