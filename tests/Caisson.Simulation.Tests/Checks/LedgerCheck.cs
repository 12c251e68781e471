using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>Money and tokens: what is admitted fits below every cap, what is held is somebody's, what is spent is accounted.</summary>
internal static class LedgerCheck
{
    private static readonly LimitDimension[] Held = [LimitDimension.NanoUsd, LimitDimension.Tokens];

    /// <summary>spent + held + new ≤ cap on every node of the path.</summary>
    internal static (string, string)? Admission(Commit commit, ChangeSet unit)
    {
        if (ReferenceEquals(commit.Before, commit.After))
            return null;
        foreach (var node in commit.Before.Find(unit.Run)!.Path)
        {
            foreach (var dimension in Held)
            {
                var wanted = unit.Budget.OfType<BudgetChange.Reserve>().Sum(r => dimension == LimitDimension.NanoUsd ? r.Hold.NanoUsd : r.Hold.Tokens);
                var state = commit.Before.Ledger.Of(node, dimension);
                if (wanted > 0 && state.Cap is { } cap && state.Spent + state.Held + wanted > cap)
                    return ("I7", $"{node} admitted {wanted} {dimension}, with {state.Spent} spent and {state.Held} held of {cap}");
            }
        }

        return null;
    }

    /// <summary>What a node holds is what the runs below it hold, and nothing that was spent comes back.</summary>
    internal static (string, string)? Holds(Commit commit)
    {
        foreach (var (node, rows) in commit.After.Ledger.Nodes)
        {
            foreach (var dimension in Held)
            {
                if (!rows.TryGetValue(dimension, out var row))
                    continue;
                if (row.Spent < commit.Before.Ledger.Of(node, dimension).Spent)
                    return ("I7", $"{node} had spent more {dimension} before {commit.Operation}");
                if (row.Held != RunUnits.HeldBelow(commit.After, node, dimension))
                    return ("I7", $"{node} holds {row.Held} {dimension}, and its runs {RunUnits.HeldBelow(commit.After, node, dimension)}");
            }
        }

        return null;
    }

    /// <summary>What every node has spent is what the journals below it say, with what is in doubt.</summary>
    internal static (string, string)? Spent(MemoryState state)
    {
        var spent = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var run in state.Runs.Values)
        {
            var own = run.Journal.Where(e => e.Entry.Kind == EntryKind.StepCompleted).Sum(e => JournalJson.Read<EntryBody.StepCompleted>(e.Entry.Body).Usage?.NanoUsd ?? 0)
                + state.Ledger.Waste.Where(w => w.Run == run.Id).Sum(w => w.NanoUsd);
            foreach (var node in run.Path)
                spent[node] = spent.GetValueOrDefault(node) + own;
        }

        foreach (var (node, sum) in spent)
        {
            if (state.Ledger.Of(node, LimitDimension.NanoUsd).Spent != sum)
                return ("I7", $"{node} has spent {state.Ledger.Of(node, LimitDimension.NanoUsd).Spent}, and the journals below it say {sum}");
        }

        return null;
    }
}
