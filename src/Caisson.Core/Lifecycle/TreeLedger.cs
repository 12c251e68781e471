using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Brings the counters of a run's whole budget path to life before the run begins anything on them.</summary>
internal sealed class TreeLedger(IBudgetStore budgets, IRunReader reader)
{
    internal TreeCounts Counts { get; } = new();

    /// <returns>The path, from the tenant to the run; in use until it is released.</returns>
    internal async Task<IReadOnlyList<string>> OpenAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var path = new List<string>();
        try
        {
            for (var next = run; ;)
            {
                await UseAsync(path, next, cancellationToken);
                if (next.Parent is not { } above)
                    break;
                if (await reader.FindAsync(above, cancellationToken) is not { } parent)
                {
                    await UseAsync(path, BudgetNodes.Of(above), null, cancellationToken);
                    break;
                }

                next = parent;
            }

            await UseAsync(path, BudgetNodes.OfTenant(run.Tenant), null, cancellationToken);
        }
        catch
        {
            Counts.Release(path);
            throw;
        }

        path.Reverse();
        return path;
    }

    private Task UseAsync(List<string> path, RunRecord run, CancellationToken cancellationToken) => UseAsync(path, BudgetNodes.Of(run.Id), new Dictionary<LimitDimension, long>
    {
        [LimitDimension.Steps] = run.Summary.Steps,
        [LimitDimension.ToolCalls] = run.Summary.ToolCalls,
        [LimitDimension.ModelCalls] = run.Summary.ModelCalls,
        [LimitDimension.Children] = run.Summary.Children,
    }, cancellationToken);

    /// <param name="own">What the node's own run has done; read before the rows, so that nothing is counted twice.</param>
    private async Task UseAsync(List<string> path, string node, IReadOnlyDictionary<LimitDimension, long>? own, CancellationToken cancellationToken)
    {
        if (!Counts.TryUse(node))
            Counts.Load(node, await budgets.ReadBudgetAsync(node, cancellationToken), own);
        path.Add(node);
    }
}
