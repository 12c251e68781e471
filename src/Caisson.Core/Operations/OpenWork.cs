using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Operations;

/// <param name="Name">Empty for a plain sleep.</param>
internal sealed record OpenTimer(string Key, long Seq, DateTimeOffset At, string Name, DateTimeOffset DueAt);

internal sealed record OpenChild(string Child, string Agent, bool Detached, long Seq, DateTimeOffset At);

/// <summary>
/// What a journal leaves open, and what it said last about going wrong. Pure: entries in, facts out. An entry that
/// cannot be read is passed over and counted, since this serves people who look at broken runs.
/// </summary>
internal sealed class OpenWork
{
    private readonly Dictionary<string, OpenTimer> _timers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OpenChild> _children = new(StringComparer.Ordinal);

    internal OpenApprovals Approvals { get; } = new();

    internal OpenUnknowns Unknowns { get; } = new();

    /// <summary>The one that fires next comes first.</summary>
    internal IReadOnlyList<OpenTimer> Timers => [.. _timers.Values.OrderBy(t => t.DueAt)];

    internal IReadOnlyList<OpenChild> Children => [.. _children.Values.OrderBy(c => c.Seq)];

    internal (JournalEntry Entry, EntryBody.StepFailed Body)? LastFailure { get; private set; }

    internal EntryBody.LimitHit? LastLimit { get; private set; }

    internal (JournalEntry Entry, EntryBody.Drift Body)? LastDrift { get; private set; }

    internal JournalEntry? LastPaused { get; private set; }

    internal JournalEntry? LastClaim { get; private set; }

    /// <summary>The last entry that carries a result: where a fork begins by default.</summary>
    internal long LastResult { get; private set; }

    internal JournalEntry? Last { get; private set; }

    internal long Unreadable { get; private set; }

    internal void Add(JournalEntry entry)
    {
        Last = entry with { Body = default, Payload = null };
        if (ForkPlan.CarriesResult(entry.Kind))
            LastResult = entry.Seq;
        try
        {
            Read(entry);
        }
        catch (CaissonException)
        {
            Unreadable++;
        }
    }

    private void Read(JournalEntry entry)
    {
        Approvals.Add(entry);
        Unknowns.Add(entry);
        switch (entry.Kind)
        {
            case EntryKind.TimerSet when entry.Key is { } key:
                var set = JournalJson.Read<EntryBody.TimerSet>(entry.Body);
                _timers[key] = new OpenTimer(key, entry.Seq, entry.At, set.Name ?? "", set.DueAt);
                break;
            case EntryKind.TimerFired when entry.Key is { } key:
                _timers.Remove(key);
                break;
            case EntryKind.ChildSpawned:
                var spawned = JournalJson.Read<EntryBody.ChildSpawned>(entry.Body);
                _children[spawned.Child] = new OpenChild(spawned.Child, spawned.Agent, spawned.Detached, entry.Seq, entry.At);
                break;
            case EntryKind.ChildEnded:
                _children.Remove(JournalJson.Read<EntryBody.ChildEnded>(entry.Body).Child);
                break;
            case EntryKind.StepFailed:
                LastFailure = (entry, JournalJson.Read<EntryBody.StepFailed>(entry.Body));
                break;
            case EntryKind.StepCompleted when LastFailure is { } failure && failure.Entry.Key == entry.Key:
                LastFailure = null;
                break;
            case EntryKind.LimitHit:
                LastLimit = JournalJson.Read<EntryBody.LimitHit>(entry.Body);
                break;
            case EntryKind.Drift:
                LastDrift = (entry, JournalJson.Read<EntryBody.Drift>(entry.Body));
                break;
            case EntryKind.Paused:
                LastPaused = entry;
                break;
            case EntryKind.EpochClaimed:
                LastClaim = entry;
                break;
        }
    }
}
