using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Operations;

/// <param name="Key">What the decision must name.</param>
internal sealed record OpenApproval(string Key, long Seq, DateTimeOffset At, EntryBody.ApprovalRequested Asked)
{
    internal bool IsExpired(DateTimeOffset now) => Asked.ExpiresAt is { } expires && expires <= now;
}

/// <summary>Questions to people that the journal asks and has no decision for. Pure.</summary>
internal sealed class OpenApprovals
{
    private readonly Dictionary<string, OpenApproval> _open = new(StringComparer.Ordinal);
    private readonly Dictionary<string, EntryBody.ApprovalDecided> _decided = new(StringComparer.Ordinal);

    /// <summary>In the order of asking.</summary>
    internal IReadOnlyList<OpenApproval> Items => [.. _open.Values.OrderBy(a => a.Seq)];

    internal IReadOnlyDictionary<string, EntryBody.ApprovalDecided> Decided => _decided;

    internal static IReadOnlyList<OpenApproval> Of(IEnumerable<JournalEntry> entries)
    {
        var open = new OpenApprovals();
        foreach (var entry in entries)
            open.Add(entry);
        return open.Items;
    }

    internal void Add(JournalEntry entry)
    {
        switch (entry.Kind)
        {
            case EntryKind.ApprovalRequested when entry.Key is { } key:
                _open[key] = new OpenApproval(key, entry.Seq, entry.At, JournalJson.Read<EntryBody.ApprovalRequested>(entry.Body));
                break;
            case EntryKind.ApprovalDecided when entry.Key is { } key:
                _open.Remove(key);
                _decided[key] = JournalJson.Read<EntryBody.ApprovalDecided>(entry.Body);
                break;
        }
    }
}
