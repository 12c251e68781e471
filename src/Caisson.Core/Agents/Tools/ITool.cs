using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Models;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents.Tools;

/// <summary>What a call may do to the workspace: decides what runs side by side.</summary>
internal enum ToolEffect
{
    Reads = 1,
    Writes = 2,
}

internal abstract record ToolOutcome
{
    /// <param name="Text">What the model reads.</param>
    internal sealed record Answered(string Text, Failure? Failure = null) : ToolOutcome;

    /// <summary>The box is gone or its state unknown.</summary>
    internal sealed record BoxLost(Failure Failure) : ToolOutcome;
}

internal interface ITool
{
    ToolDefinition Definition { get; }

    /// <summary>The call's effect, or what is wrong with its arguments.</summary>
    (ToolEffect Effect, string? Problem) Inspect(JsonElement arguments);

    /// <param name="environment">What a program needs to make its outside calls repeatable: see <see cref="StepEnvironment"/>.</param>
    Task<ToolOutcome> RunAsync(JsonElement arguments, ISandbox box, IReadOnlyDictionary<string, string> environment, CancellationToken cancellationToken);
}

internal static class BuiltInTools
{
    private static readonly ITool[] All = [new ShellTool(), new FilesTool()];

    internal static IReadOnlyCollection<string> Names { get; } = [.. All.Select(t => t.Definition.Name)];

    internal static IReadOnlyList<ITool> Select(IEnumerable<string> names, AgentManifest manifest)
    {
        var tools = names.Select(name => All.Single(t => t.Definition.Name == name));
        return NetworkText.Of(manifest) is { } network ? [.. tools.Select(t => t is ShellTool ? new ShellTool(network) : t)] : [.. tools];
    }
}
