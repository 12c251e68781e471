using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;

namespace Caisson.Server.Hosting;

/// <summary>The agents in code that a server has.</summary>
internal sealed record AgentCatalog(IReadOnlyDictionary<string, IAgent> Agents, AgentBuilds Builds)
{
    internal static readonly AgentCatalog Empty = new(new Dictionary<string, IAgent>(), AgentBuilds.None);
}
