using System.Collections.Immutable;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Rows = System.Collections.Immutable.ImmutableSortedDictionary<Caisson.Contracts.LimitDimension, Caisson.Core.Stores.BudgetState>;

namespace Caisson.Core.InMemory;

/// <summary>Budget nodes and what each has spent. Pure. A path names nodes from the outermost in.</summary>
internal sealed record MemoryLedger
{
    internal ImmutableSortedDictionary<string, Rows> Nodes { get; init; } = ImmutableSortedDictionary.Create<string, Rows>(StringComparer.Ordinal);

    internal ImmutableList<WasteRow> Waste { get; init; } = [];

    internal Rows Of(string node) => Nodes.GetValueOrDefault(node, Rows.Empty);

    internal BudgetState Of(string node, LimitDimension dimension) => Of(node).GetValueOrDefault(dimension, BudgetState.None);

    /// <summary>The outermost refusal.</summary>
    /// <param name="kept">Wanted on the innermost node as well.</param>
    internal LimitDenial? Check(IReadOnlyList<string> path, Amounts wanted, Amounts kept)
    {
        for (var i = 0; i < path.Count; i++)
        {
            var rows = Of(path[i]);
            var here = i == path.Count - 1 ? wanted.Plus(kept) : wanted;
            foreach (var dimension in Amounts.Dimensions)
            {
                if (rows.TryGetValue(dimension, out var state) && Amounts.Check(path[i], dimension, state, here[dimension]) is { } denial)
                    return denial;
            }
        }

        return null;
    }

    internal MemoryLedger Hold(IEnumerable<string> path, Amounts hold) =>
        Move(path, (dimension, state) => state with { Held = Amounts.Sum(state.Held, hold[dimension]) });

    /// <param name="inDoubt">Part of <paramref name="spent"/>.</param>
    internal MemoryLedger Settle(IEnumerable<string> path, Amounts held, Amounts spent, Amounts inDoubt) => Move(path, (dimension, state) => state with
    {
        Held = Math.Max(0, Amounts.Sum(state.Held, -held[dimension])),
        Spent = Amounts.Sum(state.Spent, spent[dimension]),
        InDoubt = Amounts.Sum(state.InDoubt, inDoubt[dimension]),
    });

    internal MemoryLedger Count(IEnumerable<string> path, LimitDimension counted, long amount)
    {
        var nodes = Nodes;
        foreach (var node in path)
        {
            if (nodes.TryGetValue(node, out var rows) && rows.TryGetValue(counted, out var state))
                nodes = nodes.SetItem(node, rows.SetItem(counted, state with { Spent = Math.Max(0, Amounts.Sum(state.Spent, amount)) }));
        }

        return this with { Nodes = nodes };
    }

    /// <summary>Adds the row where it is missing.</summary>
    /// <param name="held">What is held on it at this moment, if it is new: a hold that was made before goes back as a whole.</param>
    internal MemoryLedger SetCap(string node, LimitDimension dimension, long? cap, Func<long> held)
    {
        var rows = Of(node);
        var state = rows.TryGetValue(dimension, out var there) ? there : BudgetState.None with { Held = held() };
        return this with { Nodes = Nodes.SetItem(node, rows.SetItem(dimension, state with { Cap = cap })) };
    }

    /// <summary>Adds a row without a cap, if there is none.</summary>
    internal MemoryLedger Open(string node, LimitDimension dimension) =>
        Of(node).ContainsKey(dimension) ? this : SetCap(node, dimension, null, () => 0);

    private MemoryLedger Move(IEnumerable<string> path, Func<LimitDimension, BudgetState, BudgetState> change)
    {
        var nodes = Nodes;
        foreach (var node in path)
        {
            if (!nodes.TryGetValue(node, out var rows))
                continue;
            foreach (var dimension in Amounts.Dimensions)
            {
                if (rows.TryGetValue(dimension, out var state))
                    rows = rows.SetItem(dimension, change(dimension, state));
            }

            nodes = nodes.SetItem(node, rows);
        }

        return this with { Nodes = nodes };
    }
}
