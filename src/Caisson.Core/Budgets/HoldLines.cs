using Caisson.Core.Turns;

namespace Caisson.Core.Budgets;

/// <summary>
/// Calls that would fit under a cap if others did not hold so much of it.
/// <para>
/// Problem: a hold is an upper bound, so calls side by side hold far more than they will spend, and one that is turned
/// away for that would have been admitted a moment later. States of a call: denied → in line at the node that denied it →
/// admitted, denied for good, or out of patience. Invariants: one line for each node, first come, first served: a large
/// call is not passed by small ones for ever; only the first of a line asks the store again, when something below its
/// node was settled or given back, so that a thousand waiting calls cost one look at a time. The lines are this process's:
/// what other processes settle is seen by the first's look every second. When this process dies, nobody waits any more,
/// and nothing was held for those who did.
/// </para>
/// </summary>
internal sealed class HoldLines(EngineTasks tasks)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedList<Place>> _lines = new(StringComparer.Ordinal);

    /// <summary>The node of a path at which others wait already: whoever comes now goes behind them.</summary>
    internal string? Waited(IReadOnlyList<string> path)
    {
        lock (_lock)
            return _lines.Count == 0 ? null : path.FirstOrDefault(_lines.ContainsKey);
    }

    internal Place Join(string node)
    {
        lock (_lock)
        {
            if (!_lines.TryGetValue(node, out var line))
                _lines[node] = line = [];
            var place = new Place(this, node, new Wake(tasks));
            line.AddLast(place);
            return place;
        }
    }

    /// <summary>Something that was held on this path is not held any more, or a cap there is another.</summary>
    internal void Freed(IReadOnlyList<string> path)
    {
        lock (_lock)
        {
            if (_lines.Count == 0)
                return;
            foreach (var node in path)
                First_NeedsLock(node)?.Wake.Set();
        }
    }

    private Place? First_NeedsLock(string node) => _lines.TryGetValue(node, out var line) ? line.First!.Value : null;

    private void Leave(Place place)
    {
        lock (_lock)
        {
            if (!_lines.TryGetValue(place.Node, out var line))
                return;
            var wasFirst = ReferenceEquals(line.First!.Value, place);
            line.Remove(place);
            if (line.Count == 0)
                _lines.Remove(place.Node);
            else if (wasFirst)
                line.First!.Value.Wake.Set();
        }
    }

    /// <summary>One call's place. Disposing of it leaves the line, and the next one looks.</summary>
    internal sealed class Place(HoldLines lines, string node, Wake wake) : IDisposable
    {
        internal string Node => node;

        /// <summary>Set when it is worth a look.</summary>
        internal Wake Wake => wake;

        internal bool IsFirst
        {
            get
            {
                lock (lines._lock)
                    return ReferenceEquals(lines.First_NeedsLock(node), this);
            }
        }

        public void Dispose() => lines.Leave(this);
    }
}
