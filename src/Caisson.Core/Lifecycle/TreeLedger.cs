using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Brings the counters of a run's whole budget path to life before the run begins anything on them.</summary>
internal sealed class TreeLedger(IBudgetStore budgets, IRunReader reader)
{
    internal TreeCounts Counts { get; } = new();

    /// <returns>The path, from the tenant to the run; to be left with <see cref="TreeCounts.Leave"/>.</returns>
    internal async Task<IReadOnlyList<string>> OpenAsync(RunRecord run, CancellationToken cancellationToken)
    {
        while (true)
        {
            var path = await LoadPathAsync(run, cancellationToken);

            // While one node was loaded, the last user of another may have left.
            if (Counts.TryEnter(path))
                return path;
        }
    }

    private async Task<IReadOnlyList<string>> LoadPathAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var path = new List<string> { BudgetNodes.Of(run.Id) };
        await LoadAsync(run, cancellationToken);
        for (var above = run.Parent; above is { } id;)
        {
            path.Add(BudgetNodes.Of(id));
            if (await reader.FindAsync(id, cancellationToken) is not { } parent)
                break;
            await LoadAsync(parent, cancellationToken);
            above = parent.Parent;
        }

        path.Add(BudgetNodes.OfTenant(run.Tenant));
        if (Counts.Missing([path[^1]]).Count > 0)
            Counts.Load(path[^1], await budgets.ReadBudgetAsync(path[^1], cancellationToken));
        path.Reverse();
        return path;
    }

    private async Task LoadAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var node = BudgetNodes.Of(run.Id);
        if (Counts.Missing([node]).Count == 0)
            return;
        Counts.Load(node, await budgets.ReadBudgetAsync(node, cancellationToken), new Dictionary<LimitDimension, long>
        {
            [LimitDimension.Steps] = run.Summary.Steps,
            [LimitDimension.ToolCalls] = run.Summary.ToolCalls,
            [LimitDimension.ModelCalls] = run.Summary.ModelCalls,
            [LimitDimension.Children] = run.Summary.Children,
        });
    }
}
