using System.Reflection;
using System.Text.Json;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Server.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Embedding;

/// <summary>What was registered, before there is a container to make agents from.</summary>
internal sealed class CodeAgents
{
    private const int MaxNameLength = 100;

    private readonly Dictionary<string, (string Build, Func<IServiceProvider, IAgent> Make)> _agents = new(StringComparer.Ordinal);

    internal void Add(string name, string build, Func<IServiceProvider, IAgent> make)
    {
        if (name.Length is 0 or > MaxNameLength || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            throw new ArgumentException($"found '{name}', allowed are 1 to {MaxNameLength} letters, digits, '-', '_' and '.'", nameof(name));
        if (!_agents.TryAdd(name, (build, make)))
            throw new ArgumentException($"an agent '{name}' is registered already: give one of them another name", nameof(name));
    }

    internal AgentCatalog Build(IServiceScopeFactory scopes, ILogger log) => new(
        _agents.ToDictionary(agent => agent.Key, agent => (IAgent)new ScopedAgent(scopes, agent.Value.Make, log)),
        new AgentBuilds(_agents.ToDictionary(agent => agent.Key, agent => agent.Value.Build)));

    /// <summary>The attribute's name, or the type's in kebab case without its ending.</summary>
    internal static string NameOf(Type agent)
    {
        if (agent.GetCustomAttribute<AgentAttribute>() is { } given)
            return given.Name;
        const string ending = "Agent";
        var name = agent.Name.EndsWith(ending, StringComparison.Ordinal) && agent.Name.Length > ending.Length ? agent.Name[..^ending.Length] : agent.Name;
        return JsonNamingPolicy.KebabCaseLower.ConvertName(name);
    }

    /// <summary>The attribute's version, or else something that changes with each build of the agent's assembly.</summary>
    internal static string BuildOf(MemberInfo code) =>
        (code as Type)?.GetCustomAttribute<AgentAttribute>()?.Version ?? code.Module.ModuleVersionId.ToString("N");
}
