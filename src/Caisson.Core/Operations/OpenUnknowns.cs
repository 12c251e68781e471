using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Operations;

internal sealed record OpenUnknown(string Key, long Seq, DateTimeOffset At, EntryBody.StepUnknown Asked);

/// <summary>Steps of unknown outcome that nothing in the journal has settled. Pure.</summary>
internal sealed class OpenUnknowns
{
    private readonly Dictionary<string, OpenUnknown> _open = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _settled = new(StringComparer.Ordinal);

    /// <summary>In the order of their interruption.</summary>
    internal IReadOnlyList<OpenUnknown> Items => [.. _open.Values.OrderBy(u => u.Seq)];

    /// <summary>How each of the others was settled.</summary>
    internal IReadOnlyDictionary<string, string> Settled => _settled;

    internal static IReadOnlyList<OpenUnknown> Of(IEnumerable<JournalEntry> entries)
    {
        var open = new OpenUnknowns();
        foreach (var entry in entries)
            open.Add(entry);
        return open.Items;
    }

    /// <summary>Whether it stands for the step's completion, rather than letting it run again.</summary>
    internal static bool Completes(EntryBody.StepResolved resolved) => resolved.How != "not_done";

    internal void Add(JournalEntry entry)
    {
        if (entry.Key is not { } key)
            return;
        switch (entry.Kind)
        {
            case EntryKind.StepUnknown:
                _open[key] = new OpenUnknown(key, entry.Seq, entry.At, JournalJson.Read<EntryBody.StepUnknown>(entry.Body));
                break;
            case EntryKind.StepResolved:
                Settle(key, JournalJson.Read<EntryBody.StepResolved>(entry.Body).How);
                break;
            case EntryKind.StepCompleted:
                Settle(key, "completed");
                break;
        }
    }

    private void Settle(string key, string how)
    {
        if (_open.Remove(key))
            _settled[key] = how;
    }
}
