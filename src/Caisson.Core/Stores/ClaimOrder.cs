using Caisson.Contracts;

namespace Caisson.Core.Stores;

/// <summary>
/// Who comes first of the runs that are due. Depth is favoured: by due time alone, all queued roots would begin before the
/// first child does, and each parent would wait for the whole queue. A share stays for due time, so that a tree that
/// spawns without end cannot keep others from beginning. Pure.
/// </summary>
public static class ClaimOrder
{
    /// <summary>The most places of <paramref name="room"/> that children take before others.</summary>
    public static int ShareBelow(int room) => room - room / 4;

    /// <summary>
    /// The most places of a server that runs without a parent take: an eighth is kept for children, at least one. A parent
    /// that is at work itself keeps its place, and what it does may be over only when its child is.
    /// </summary>
    public static int PlacesForRoots(int places) => Math.Max(1, places - Math.Max(1, places / 8));

    /// <param name="below">Children, at most <see cref="ShareBelow"/>.</param>
    /// <param name="due">All that are due, children among them.</param>
    public static IReadOnlyList<RunId> Merge(IReadOnlyList<RunId> below, IReadOnlyList<RunId> due, int room)
    {
        if (below.Count == 0)
            return due;
        var taken = below.ToHashSet();
        return [.. below, .. due.Where(run => !taken.Contains(run)).Take(room - below.Count)];
    }
}
