namespace Caisson.Core.Agents;

/// <summary>
/// What a run executes. Called anew for every turn: it must take the same way through its run's answers each time, and
/// may act on the world only in steps. See <see cref="IRunContext"/> for what it may do between them.
/// </summary>
public interface IAgent
{
    /// <param name="cancellationToken">Ends with the turn. Steps get one of their own.</param>
    /// <returns>The run's result.</returns>
    Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken);
}
