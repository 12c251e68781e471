namespace Caisson.Core.Agents;

/// <summary>How an agent in code is called, and which build of it this is.</summary>
/// <param name="name">The name that manifests and parents use.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class AgentAttribute(string name) : Attribute
{
    public string Name { get; } = name;

    /// <summary>
    /// Change it when the agent may take another way through what it did before: runs that are under way are then held
    /// against their journals before they go on. Default: a new one with every build of the agent's assembly.
    /// </summary>
    public string? Version { get; init; }
}
