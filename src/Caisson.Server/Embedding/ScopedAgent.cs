using Caisson.Core.Agents;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Embedding;

/// <summary>
/// Makes an agent anew, in a scope of services of its own, for every turn. The scope ends with the turn and not with
/// the agent's code: a turn that is cut short drops the code where it stands, and no <c>finally</c> of it is reached.
/// </summary>
internal sealed class ScopedAgent(IServiceScopeFactory scopes, Func<IServiceProvider, IAgent> make, ILogger log) : IAgent
{
    public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var scope = scopes.CreateAsyncScope();
        cancellationToken.Register(() => _ = EndAsync(scope, context));
        return make(scope.ServiceProvider).RunAsync(context, cancellationToken);
    }

    private async Task EndAsync(AsyncServiceScope scope, IRunContext context)
    {
        try
        {
            await scope.DisposeAsync();
        }
        catch (Exception problem)
        {
            // Somebody's service failed at its end; the run has its outcome already.
            log.LogError(problem, "run {Run}: the services of its agent could not be disposed of", context.Run);
        }
    }
}

/// <summary>An agent that is one function.</summary>
internal sealed class FunctionAgent(Func<IRunContext, Task<string>> function) : IAgent
{
    public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken) => function(context);
}
