using Caisson.Core.Agents;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Caisson.Server.Embedding;

/// <summary>Registers an application's agents.</summary>
public sealed class CaissonBuilder
{
    private readonly CodeAgents _agents;

    internal CaissonBuilder(IServiceCollection services, CodeAgents agents) => (Services, _agents) = (services, agents);

    public IServiceCollection Services { get; }

    /// <summary>
    /// Registers an agent that is a class. It is made anew for each turn of a run, with what it asks for in its
    /// constructor, in a scope of its own.
    /// </summary>
    /// <param name="name">Default: that of its <see cref="AgentAttribute"/>, or the type's in kebab case without <c>Agent</c>: <c>TripPlannerAgent</c> is <c>trip-planner</c>.</param>
    public CaissonBuilder AddAgent<T>(string? name = null) where T : class, IAgent
    {
        _agents.Add(name ?? CodeAgents.NameOf(typeof(T)), CodeAgents.BuildOf(typeof(T)), services => services.GetRequiredService<T>());
        Services.TryAddScoped<T>();
        return this;
    }

    /// <summary>Registers an agent that is a function. What it needs beside its run it may capture.</summary>
    public CaissonBuilder AddAgent(string name, Func<IRunContext, Task<string>> agent)
    {
        ArgumentNullException.ThrowIfNull(agent);
        var made = new FunctionAgent(agent);
        _agents.Add(name, CodeAgents.BuildOf(agent.Method), _ => made);
        return this;
    }
}
