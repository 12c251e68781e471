using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>Brings the counters of a run's whole budget path to life before the run begins anything on them.</summary>
internal sealed class TreeLedger(IBudgetStore budgets, IRunReader reader) : IDisposable
{
    private const int LooksPerSweep = 16;

    // One look at a time: rows that were read before a change must not come after those that were read for it.
    private readonly SemaphoreSlim _one = new(1, 1);
    private int _turn;

    internal TreeCounts Counts { get; } = new();

    /// <summary>Caps above runs are set past the runs' owners: whoever sets one here says so, and a few nodes are looked at in turn, in case nobody did.</summary>
    internal async Task SweepAsync(CancellationToken cancellationToken)
    {
        var above = Counts.AboveRuns;
        for (var i = 0; i < Math.Min(LooksPerSweep, above.Count); i++)
            await LookAsync(above[_turn++ % above.Count], Counts.Renew, cancellationToken);
    }

    internal Task RenewAsync(string node) => LookAsync(node, Counts.Renew, CancellationToken.None);

    private async Task LookAsync(string node, Action<string, IReadOnlyList<BudgetRow>> take, CancellationToken cancellationToken)
    {
        await _one.WaitAsync(CancellationToken.None);
        try
        {
            take(node, await budgets.ReadBudgetAsync(node, cancellationToken));
        }
        finally
        {
            _one.Release();
        }
    }

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
            await LookAsync(path[^1], (node, rows) => Counts.Load(node, rows), cancellationToken);
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

    public void Dispose() => _one.Dispose();
}
