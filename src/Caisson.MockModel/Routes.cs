using Caisson.MockModel.Scripts;
using Caisson.MockModel.Wire;
using Microsoft.AspNetCore.Http;

namespace Caisson.MockModel;

/// <summary>Which path is which wire's.</summary>
internal sealed class Routes(MockScript script, MockCalls calls)
{
    private const string GeminiModels = "/v1beta/models/";
    private const string OpenAiModels = "/v1/models/";

    private static readonly ChatWire Chat = new();
    private static readonly ResponsesWire Responses = new();
    private static readonly AnthropicWire Anthropic = new();
    private static readonly EmbeddingsWire Embeddings = new();

    public Task AnswerAsync(HttpContext context) => (context.Request.Method, context.Request.Path.Value ?? "") switch
    {
        ("POST", "/v1/chat/completions") => calls.AnswerAsync(context, Chat),
        ("POST", "/v1/responses") => calls.AnswerAsync(context, Responses),
        ("POST", "/v1/embeddings") => calls.AnswerAsync(context, Embeddings),
        ("POST", "/v1/messages") => calls.AnswerAsync(context, Anthropic),
        ("POST", "/v1/messages/count_tokens") => calls.CountAsync(context, Anthropic, AnthropicWire.Count),
        ("POST", var path) when path.StartsWith(GeminiModels, StringComparison.Ordinal) => GeminiAsync(context, path[GeminiModels.Length..]),
        // Gemini's newer clients; only theirs are posted to.
        ("POST", var path) when path.StartsWith(OpenAiModels, StringComparison.Ordinal) => GeminiAsync(context, path[OpenAiModels.Length..]),
        ("GET", "/v1/models") => MockCalls.WriteAsync(context, 200, IsAnthropic(context) ? AnthropicForms.Models([.. script.Models]) : OpenAiForms.Models(script.Models)),
        ("GET", var path) when path.StartsWith(OpenAiModels, StringComparison.Ordinal) => ModelAsync(context, path[OpenAiModels.Length..]),
        // How some clients ask whether anybody is here.
        ("HEAD", "/") => Task.CompletedTask,
        _ => UnknownAsync(context),
    };

    private Task GeminiAsync(HttpContext context, string rest)
    {
        var colon = rest.LastIndexOf(':');
        var model = colon < 0 ? rest : rest[..colon];
        var stream = context.Request.Query["alt"] == "sse" ? StreamForm.Events : StreamForm.List;
        return rest[(colon + 1)..] switch
        {
            "generateContent" => calls.AnswerAsync(context, new GeminiWire(model, StreamForm.None)),
            "streamGenerateContent" => calls.AnswerAsync(context, new GeminiWire(model, stream)),
            "countTokens" => calls.CountAsync(context, new GeminiWire(model, StreamForm.None), GeminiWire.Count),
            _ => UnknownAsync(context),
        };
    }

    private Task ModelAsync(HttpContext context, string model)
    {
        if (!script.Knows(model))
            return RefuseAsync(context, new Refusal(404, $"no script names model '{model}'", "model_not_found"));
        return MockCalls.WriteAsync(context, 200, IsAnthropic(context) ? AnthropicForms.Model(model) : OpenAiForms.Model(model));
    }

    private static Task UnknownAsync(HttpContext context) => RefuseAsync(context, new Refusal(
        404,
        $"{context.Request.Method} {context.Request.Path.Value} is not here; docs/mock-model.md lists what is",
        "unknown_url"));

    private static Task RefuseAsync(HttpContext context, Refusal refusal)
    {
        IWire wire = context.Request.Path.StartsWithSegments("/v1beta", StringComparison.Ordinal) ? new GeminiWire("", StreamForm.None)
            : IsAnthropic(context) ? Anthropic
            : Chat;
        return MockCalls.WriteAsync(context, refusal.Status, wire.Error(refusal));
    }

    private static bool IsAnthropic(HttpContext context) => context.Request.Headers.ContainsKey("anthropic-version");
}
