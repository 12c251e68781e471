using System.Text.Json;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Chat;

/// <summary>What a chat request may hold below its top level, and what its messages say.</summary>
internal static class ChatChecks
{
    private const string TextOnly = "other answers than text have prices of their own; ask for text only";

    public static WireError? Kinds(JsonElement root, string model)
    {
        if (model.EndsWith(":online", StringComparison.Ordinal))
            return FieldRules.Denied("model", "':online' makes the provider search the web, past this run's egress and budget; leave it out");
        if (root.At("modalities").Items().Any(m => m.Text() != "text"))
            return FieldRules.Denied("modalities", TextOnly);
        return root.At("stream_options") is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.Object) }
            ? FieldRules.Invalid("stream_options", "expected an object")
            : null;
    }

    /// <summary>Tools that the client runs itself.</summary>
    public static WireError? Tools(JsonElement tools)
    {
        if (tools.IsNothing())
            return null;
        if (OpenAiChecks.List(tools, "tools", least: 0) is { } problem)
            return problem;
        return tools.Items().Index().Where(t => t.Item.Text("type") is not ("function" or "custom"))
            .Select(t => FieldRules.Denied($"tools[{t.Index}].type '{FieldRules.Name(t.Item.Text("type"))}'", FieldRules.Connects)).FirstOrDefault();
    }

    public static WireError? Messages(JsonElement messages)
    {
        if (OpenAiChecks.List(messages, "messages") is { } problem)
            return problem;
        foreach (var (index, message) in messages.Items().Index())
        {
            var at = $"messages[{index}]";
            if (message.At("role").ValueKind != JsonValueKind.String)
                return FieldRules.Invalid($"{at}.role", "expected a text");
            if (!message.At("audio").IsNothing())
                return FieldRules.Denied($"{at}.audio", FieldRules.Refers);
            if (message.At("content").ValueKind is not (JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.String or JsonValueKind.Array))
                return FieldRules.Invalid($"{at}.content", "expected a text or a list of parts");
            foreach (var (number, part) in message.At("content").Items().Index())
            {
                if (Part(part, $"{at}.content[{number}]") is { } wrong)
                    return wrong;
            }
        }

        return null;
    }

    /// <summary>What the media of the messages can cost beyond their bytes.</summary>
    public static long Media(JsonElement messages, string model) =>
        messages.Items().SelectMany(m => m.At("content").Items()).Sum(part => part.Text("type") switch
        {
            "image_url" => MediaBounds.Image(model),
            "input_audio" => MediaBounds.Sound(part.At("input_audio").Text("format")),
            "file" => MediaBounds.Other(MediaBounds.InlineType(part.At("file").Text("file_data"))),
            _ => 0,
        });

    public static IReadOnlyList<ToolTurn> Turns(JsonElement messages)
    {
        var log = new TurnLog();
        foreach (var message in messages.Items())
        {
            foreach (var call in message.At("tool_calls").Items())
            {
                // A custom tool takes a text of its own form instead of arguments.
                var what = call.At("function") is { ValueKind: JsonValueKind.Object } function ? function : call.At("custom");
                log.Call(call.Text("id"), what.Text("name"), TurnLog.Arguments(what.Text("arguments") ?? what.Text("input")));
            }

            if (message.Is("role", "tool"))
                log.Result(message.Text("tool_call_id"), message.At("content"));
        }

        return log.Turns;
    }

    private static WireError? Part(JsonElement part, string at) => part.Text("type") switch
    {
        _ when part.ValueKind != JsonValueKind.Object => FieldRules.Invalid(at, "expected an object"),
        "text" or "refusal" or "thinking" or "reasoning" => null,
        "image_url" => OpenAiChecks.Inline(part.At("image_url").Text("url") ?? part.Text("image_url"), $"{at}.image_url"),
        "input_audio" => part.At("input_audio").At("data").ValueKind == JsonValueKind.String ? null : FieldRules.Invalid($"{at}.input_audio.data", "expected a text"),
        "file" when !part.At("file").At("file_id").IsNothing() => FieldRules.Denied($"{at}.file.file_id", FieldRules.Refers),
        "file" => OpenAiChecks.Inline(part.At("file").Text("file_data"), $"{at}.file.file_data"),
        var type => FieldRules.Denied($"{at}.type '{FieldRules.Name(type)}'", "is not known here, and could make the provider fetch something; send text, or an image as a data: URL"),
    };
}
