namespace Caisson.System.Tests.Clients;

/// <summary>A client of model providers as its users have it: the program in <c>tests/clients/agents</c> that uses it.</summary>
/// <param name="Name">Of the program.</param>
/// <param name="Package">On npm.</param>
/// <param name="Wire">In the words of the provider's log.</param>
internal sealed record RealClient(string Name, string Package, string Wire)
{
    /// <summary>Model calls of its work where nothing interrupts it: three whole ones, then three streamed.</summary>
    internal const int Calls = 6;

    internal const string Result = "All is done, and every file of both parts is there. a b c d";

    internal static readonly IReadOnlyList<RealClient> All =
    [
        new("openai-chat", "openai", "openai.chat"),
        new("openai-responses", "openai", "openai.responses"),
        new("anthropic", "@anthropic-ai/sdk", "anthropic"),
        new("gemini", "@google/genai", "gemini"),
        new("langgraph", "@langchain/langgraph", "openai.chat"),
        new("openai-agents", "@openai/agents", "openai.responses"),
        new("ai-sdk", "ai", "openai.responses"),
        new("deepagents", "deepagents", "openai.chat"),
    ];

    internal static RealClient Of(string name) => All.Single(c => c.Name == name);

    /// <summary>Its agent, to be stopped at a point.</summary>
    internal string Manifest(KillPoint point) => $$"""
        name: {{Name}}
        process:
          command: [node, /clients/{{Name}}.mjs]
          env: { MODEL: {{point.Model}}, OPENAI_AGENTS_DISABLE_TRACING: "1", CHECK: '{{point.Check}}' }
        sandbox: { image: clients, memory: 512MiB, disk: 32MiB }
        """;
}
