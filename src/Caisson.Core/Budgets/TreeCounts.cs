using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Budgets;

/// <summary>
/// What the runs of one tree have done and have under way, counted on every node of the budget path.
/// <para>
/// Problem: a child's step counts on its parent's, its root's and its tenant's caps, several runs of a tree work at
/// the same time, and a count must cost no durable write before the step. So the runs that this process drives share
/// these counters: a step begins on all nodes of its path or on none. States of a count: begun → completed or
/// abandoned. Invariants: spent + in flight ≤ cap at every admission, on every node; what was begun ends once; a node
/// is known before anything begins on it, and as long as a run at or below it is owned here.
/// </para>
/// <para>
/// The store has the completed counts (<see cref="BudgetChange.Count"/>, in the step's own unit). When this process
/// dies, what was in flight is forgotten and the next one loads what was completed. Runs of a tree that other
/// processes drive are seen when their node is loaded, and not before: across processes a cap may be passed by what is
/// under way there.
/// </para>
/// </summary>
internal sealed class TreeCounts
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Node> _nodes = new(StringComparer.Ordinal);

    /// <summary>The nodes of a path that have to be loaded before something begins on it.</summary>
    internal IReadOnlyList<string> Missing(IReadOnlyList<string> path)
    {
        lock (_lock)
            return [.. path.Where(node => !_nodes.ContainsKey(node))];
    }

    /// <summary>
    /// Makes a node known. A node that is known already stays as it is: its counts are newer than the rows.
    /// </summary>
    /// <param name="rows">As the store has them: caps, and what the runs below this node have completed.</param>
    /// <param name="own">What the run of this node has completed itself, as its own row says: the store counts only what is done below it. Of <see cref="LimitDimension.ChildBreadth"/>, its children alive.</param>
    internal void Load(string node, IEnumerable<BudgetRow> rows, IReadOnlyDictionary<LimitDimension, long>? own = null)
    {
        lock (_lock)
        {
            if (!_nodes.TryAdd(node, new Node()))
                return;
            foreach (var row in rows)
            {
                var count = _nodes[node].Of(row.Dimension);
                (count.Cap, count.Spent, count.Stored) = (row.State.Cap, row.State.Spent, true);
            }

            foreach (var (dimension, number) in own ?? new Dictionary<LimitDimension, long>())
            {
                var count = _nodes[node].Of(dimension);
                if (dimension == LimitDimension.ChildBreadth)
                    count.InFlight += number;
                else
                    count.Spent += number;
            }
        }
    }

    /// <summary>
    /// Rows of a node above runs, whose caps are set past the runs' owners. The store counts from when there is a row, and
    /// so does this node. What is under way at that moment may be counted twice: rather one too few than one too many.
    /// </summary>
    internal void Renew(string node, IEnumerable<BudgetRow> rows)
    {
        lock (_lock)
        {
            if (!_nodes.TryGetValue(node, out var known))
                return;
            foreach (var row in rows)
            {
                var count = known.Of(row.Dimension);
                count.Cap = row.State.Cap;
                if (!count.Stored)
                    (count.Spent, count.Stored) = (row.State.Spent, true);
            }
        }
    }

    /// <summary>Known nodes that belong to no run.</summary>
    internal IReadOnlyList<string> AboveRuns
    {
        get
        {
            lock (_lock)
                return [.. _nodes.Keys.Where(BudgetNodes.IsAboveRuns)];
        }
    }

    /// <summary>Whether the store counts this on the node.</summary>
    internal bool IsStored(string node, LimitDimension dimension)
    {
        lock (_lock)
            return _nodes.TryGetValue(node, out var known) && known.Of(dimension).Stored;
    }

    /// <summary>Counts one on every node of the path, or denies it and counts nothing.</summary>
    /// <param name="path">From the tenant to the run; all known.</param>
    internal LimitDenial? TryBegin(IReadOnlyList<string> path, LimitDimension dimension) => TryBegin(path, [dimension]);

    /// <summary>Counts one of each dimension, or denies and counts nothing: a model call is a step as well.</summary>
    internal LimitDenial? TryBegin(IReadOnlyList<string> path, ReadOnlySpan<LimitDimension> dimensions)
    {
        lock (_lock)
        {
            foreach (var dimension in dimensions)
            {
                for (var i = First(path, dimension); i < path.Count; i++)
                {
                    var count = Known_NeedsLock(path[i]).Of(dimension);
                    if (count.Cap is { } cap && (Int128)count.Spent + count.InFlight >= cap)
                        return new LimitDenial(path[i], dimension, cap, count.Spent, count.InFlight, 1);
                }
            }

            foreach (var dimension in dimensions)
            {
                for (var i = First(path, dimension); i < path.Count; i++)
                    _nodes[path[i]].Of(dimension).InFlight++;
            }

            return null;
        }
    }

    /// <summary>It is done, and the store has it.</summary>
    internal void Complete(IReadOnlyList<string> path, params ReadOnlySpan<LimitDimension> dimensions) => End(path, dimensions, spent: 1);

    /// <summary>It did not come to pass, or, for a child alive, is over: the room is free again.</summary>
    internal void Abandon(IReadOnlyList<string> path, params ReadOnlySpan<LimitDimension> dimensions) => End(path, dimensions, spent: 0);

    /// <summary>Whether the run at the path's end may have children: the lowest depth that any node above allows.</summary>
    /// <param name="depth">Generations above that run.</param>
    internal LimitDenial? CheckDepth(IReadOnlyList<string> path, long depth)
    {
        lock (_lock)
        {
            foreach (var name in path)
            {
                if (Known_NeedsLock(name).Of(LimitDimension.ChildDepth).Cap is { } cap && depth >= cap)
                    return new LimitDenial(name, LimitDimension.ChildDepth, cap, depth, 0, 1);
            }

            return null;
        }
    }

    /// <summary>A new cap, or none. Below what is spent it stops admissions, nothing else. For a node that is not known the store has it.</summary>
    internal void SetCap(string node, LimitDimension dimension, long? cap)
    {
        lock (_lock)
        {
            if (_nodes.TryGetValue(node, out var known))
                known.Of(dimension).Cap = cap;
        }
    }

    /// <summary>An ownership begins: the nodes of its path stay known until it leaves them.</summary>
    /// <returns>Whether all of them are known; otherwise nothing was entered.</returns>
    internal bool TryEnter(IReadOnlyList<string> path)
    {
        lock (_lock)
        {
            if (!path.All(_nodes.ContainsKey))
                return false;
            foreach (var node in path)
                _nodes[node].Users++;
            return true;
        }
    }

    /// <summary>The ownership is over, and nothing of it is under way. A node that nobody is left on is forgotten: the store has what was done below it.</summary>
    internal void Leave(IReadOnlyList<string> path)
    {
        lock (_lock)
        {
            foreach (var node in path)
            {
                if (--Known_NeedsLock(node).Users == 0)
                    _nodes.Remove(node);
            }
        }
    }

    private void End(IReadOnlyList<string> path, ReadOnlySpan<LimitDimension> dimensions, int spent)
    {
        lock (_lock)
        {
            foreach (var dimension in dimensions)
            {
                for (var i = First(path, dimension); i < path.Count; i++)
                {
                    var count = Known_NeedsLock(path[i]).Of(dimension);
                    if (count.InFlight == 0)
                        throw new InvalidOperationException($"{Words.Of(dimension)} ends on {path[i]}, and none had begun");
                    count.InFlight--;
                    count.Spent += spent;
                }
            }
        }
    }

    /// <summary>
    /// How many children are alive is each run's own count. Counted above as well, a child that waits for room to have
    /// a child of its own would wait for itself.
    /// </summary>
    private static int First(IReadOnlyList<string> path, LimitDimension dimension) => dimension == LimitDimension.ChildBreadth ? path.Count - 1 : 0;

    private Node Known_NeedsLock(string name) =>
        _nodes.GetValueOrDefault(name) ?? throw new InvalidOperationException($"the budget node {name} is not loaded");

    private sealed class Node
    {
        private readonly Dictionary<LimitDimension, Count> _counts = [];

        /// <summary>Ownerships at or below this node.</summary>
        internal int Users { get; set; }

        internal Count Of(LimitDimension dimension)
        {
            if (!_counts.TryGetValue(dimension, out var count))
                _counts[dimension] = count = new Count();
            return count;
        }
    }

    private sealed class Count
    {
        internal long? Cap { get; set; }
        internal long Spent { get; set; }
        internal long InFlight { get; set; }

        /// <summary>Whether the store has a row of it.</summary>
        internal bool Stored { get; set; }
    }
}
