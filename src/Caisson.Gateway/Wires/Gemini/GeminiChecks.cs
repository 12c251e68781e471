using System.Text.Json;
using Caisson.Gateway.Wires.Chat;
using Caisson.Gateway.Wires.Keys;

namespace Caisson.Gateway.Wires.Gemini;

/// <summary>What a request of Google's wire may hold, and what its contents say.</summary>
internal static class GeminiChecks
{
    private const string OtherMedia = "other answers than text have prices of their own; ask for text only";

    private static readonly FieldRules Fields = new(
        "model contents systemInstruction tools toolConfig generationConfig safetySettings labels",
        ("cachedContent", FieldRules.Refers));

    private static readonly FieldRules Config = new(
        """
        maxOutputTokens temperature topP topK stopSequences candidateCount responseMimeType responseSchema
        responseJsonSchema _responseJsonSchema responseModalities thinkingConfig seed presencePenalty frequencyPenalty
        responseLogprobs logprobs mediaResolution responseFormat
        """.ReplaceLineEndings(" "),
        ("speechConfig", OtherMedia),
        ("imageConfig", OtherMedia),
        ("routingConfig", FieldRules.Unpriced),
        ("modelSelectionConfig", FieldRules.Unpriced));

    private static readonly string[] Parts = ["text", "thought", "thoughtSignature", "inlineData", "functionCall", "functionResponse", "videoMetadata", "mediaResolution", "partMetadata"];

    public static WireError? Request(JsonElement root, bool isCount)
    {
        // A count may wrap the request that it is about.
        if (isCount && root.At("generateContentRequest") is { ValueKind: JsonValueKind.Object } inner)
            return root.Members().Count() == 1 ? Request(inner, isCount: false) : FieldRules.Invalid("generateContentRequest", "expected nothing beside it");
        return Fields.Check(root)
            ?? Object(root, "generationConfig")
            ?? Config.Check(root.At("generationConfig"), "generationConfig.")
            ?? (root.At("generationConfig").At("responseModalities").Items().Any(m => m.Text()?.Equals("TEXT", StringComparison.OrdinalIgnoreCase) != true)
                ? FieldRules.Denied("generationConfig.responseModalities", OtherMedia)
                : null)
            ?? Tools(root.At("tools"))
            ?? System(root.At("systemInstruction"))
            ?? OpenAiChecks.List(root.At("contents"), "contents")
            ?? root.At("contents").Items().Index().Select(c => Content(c.Item.At("parts"), $"contents[{c.Index}].parts", levels: 2)).FirstOrDefault(e => e is not null);
    }

    public static int CountTools(JsonElement tools) => tools.Items().Sum(t => t.At("functionDeclarations").Count());

    public static long Media(JsonElement root, string model) =>
        root.At("contents").Items().Append(root.At("systemInstruction")).SelectMany(c => c.At("parts").Items())
            .SelectMany(p => p.At("functionResponse").At("parts").Items().Append(p))
            .Where(p => !p.At("inlineData").IsNothing())
            .Sum(p => MediaBounds.Of(p.At("inlineData").Text("mimeType") ?? "", model));

    public static IReadOnlyList<ToolTurn> Turns(JsonElement contents)
    {
        var log = new TurnLog();
        foreach (var part in contents.Items().SelectMany(c => c.At("parts").Items()))
        {
            if (part.At("functionCall") is { ValueKind: JsonValueKind.Object } call)
                log.Call(call.Text("id") ?? call.Text("name"), call.Text("name"), Canonical.HashOf(call.At("args")));
            if (part.At("functionResponse") is { ValueKind: JsonValueKind.Object } result)
                log.Result(result.Text("id") ?? result.Text("name"), result.At("response"), !result.At("response").At("error").IsNothing());
        }

        return log.Turns;
    }

    private static WireError? Object(JsonElement root, string name) =>
        root.At(name).IsNothing() || root.At(name).ValueKind == JsonValueKind.Object ? null : FieldRules.Invalid(name, "expected an object");

    private static WireError? Tools(JsonElement tools)
    {
        if (tools.IsNothing())
            return null;
        if (OpenAiChecks.List(tools, "tools", least: 0) is { } problem)
            return problem;
        return tools.Items().Index().SelectMany(t => t.Item.Members().Where(m => m.Name != "functionDeclarations" && !m.Value.IsNothing())
            .Select(m => FieldRules.Denied($"tools[{t.Index}].{FieldRules.Name(m.Name)}", FieldRules.Connects))).FirstOrDefault();
    }

    private static WireError? System(JsonElement system) => system.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null or JsonValueKind.String => null,
        JsonValueKind.Object => Content(system.At("parts"), "systemInstruction.parts", levels: 1),
        _ => FieldRules.Invalid("systemInstruction", "expected an object"),
    };

    private static WireError? Content(JsonElement parts, string at, int levels) => parts.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null => null,
        JsonValueKind.Array when levels > 0 => parts.Items().Index().Select(p => Part(p.Item, $"{at}[{p.Index}]", levels - 1)).FirstOrDefault(e => e is not null),
        _ => FieldRules.Invalid(at, "expected a list"),
    };

    private static WireError? Part(JsonElement part, string at, int levels)
    {
        if (part.ValueKind != JsonValueKind.Object)
            return FieldRules.Invalid(at, "expected an object");
        if (!part.At("fileData").IsNothing())
            return FieldRules.Denied($"{at}.fileData", "the provider would fetch it, past this run's egress and budget; send the content as inlineData");
        return part.Members().Where(m => !Parts.Contains(m.Name) && !m.Value.IsNothing())
                .Select(m => FieldRules.Denied($"{at}.{FieldRules.Name(m.Name)}", "is not known here, and could make the provider fetch or run something; leave it out")).FirstOrDefault()
            ?? Content(part.At("functionResponse").At("parts"), $"{at}.functionResponse.parts", levels);
    }
}
