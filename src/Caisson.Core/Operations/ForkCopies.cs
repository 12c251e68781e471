using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Operations;

/// <summary>Which entries of its parent a fork's journal begins with, and what becomes of the numbers in them. Pure.</summary>
internal static class ForkCopies
{
    /// <summary>The fork's RunCreated and ForkedFrom come before them.</summary>
    private const int Before = 2;

    internal static List<ReadEntry> Of(IReadOnlyList<ReadEntry> prefix)
    {
        var way = new List<ReadEntry>(prefix.Count);
        foreach (var entry in prefix)
        {
            if (entry.Stored.Kind == EntryKind.Drift && JournalJson.Read<EntryBody.Drift>(entry.Body) is { WentLive: true } drift)
                Leave(way, drift.Report.Seq);
            else if (IsCopied(entry.Stored.Kind) || (entry.Stored.Kind == EntryKind.LimitHit && JournalJson.Read<EntryBody.LimitHit>(entry.Body).WrapUp))
                way.Add(entry);
        }

        // A child that has not ended is the parent's; the fork spawns its own. What it would answer twice is no answer.
        var ended = way.Where(e => e.Stored.Kind == EntryKind.ChildEnded).Select(e => JournalJson.Read<EntryBody.ChildEnded>(e.Body).Child).ToHashSet(StringComparer.Ordinal);
        var spawned = way.Where(e => e.Stored.Kind == EntryKind.ChildSpawned).Select(e => JournalJson.Read<EntryBody.ChildSpawned>(e.Body).Child).ToHashSet(StringComparer.Ordinal);
        way.RemoveAll(e => e.Stored.Kind switch
        {
            EntryKind.ChildSpawned => !ended.Contains(JournalJson.Read<EntryBody.ChildSpawned>(e.Body).Child),
            EntryKind.ChildEnded => !spawned.Contains(JournalJson.Read<EntryBody.ChildEnded>(e.Body).Child),
            _ => false,
        });
        return way;
    }

    internal static IReadOnlyList<JournalDraft> Drafts(List<ReadEntry> copied)
    {
        var numbers = copied.Select((e, i) => (Old: e.Stored.Seq, New: (long)i + Before + 1)).ToDictionary(n => n.Old, n => n.New);
        return [.. copied.Select(e => new JournalDraft(e.Stored.Kind, Body(e, numbers), e.Stored.Scope, e.Stored.Key, e.Stored.Attempt, e.Stored.Payload, e.Stored.Blob) { At = e.Stored.At })];
    }

    /// <summary>Whose identity the agent's ids and chance came from, as far as the copies reach: a replay must come to the same ones.</summary>
    internal static IReadOnlyList<SeedSpan> Seeds(RunId parent, IReadOnlyList<ReadEntry> prefix, List<ReadEntry> copied)
    {
        if (copied.Count == 0)
            return [];
        var earlier = prefix.FirstOrDefault(e => e.Stored.Kind == EntryKind.ForkedFrom) is { Stored: not null } fork ? JournalJson.Read<EntryBody.ForkedFrom>(fork.Body).Seeds : [];
        return [.. earlier.Select(span => span with { Until = Before + copied.Count(e => e.Stored.Seq <= span.Until) }), new SeedSpan(parent.ToString(), Before + copied.Count)];
    }

    private static bool IsCopied(EntryKind kind) => kind != EntryKind.RunCreated && (ForkPlan.CarriesResult(kind) || kind is EntryKind.StepStarted or EntryKind.StepFailed
        or EntryKind.StepUnknown or EntryKind.EgressIntended or EntryKind.TimerSet or EntryKind.ApprovalRequested or EntryKind.ChildSpawned or EntryKind.LoopSuspected);

    /// <summary>
    /// The parent drifted and went on another way: its own replay does not answer from what it left, so the fork's must
    /// not either. Signals stay, since whoever takes them takes them in order, and so does what counts attempts.
    /// </summary>
    private static void Leave(List<ReadEntry> way, long from)
    {
        var decided = way.Where(e => e.Stored.Seq >= from && e.Stored.Kind == EntryKind.ApprovalDecided && !JournalJson.Read<EntryBody.ApprovalDecided>(e.Body).Partial)
            .Select(e => e.Stored.Key).ToHashSet(StringComparer.Ordinal);
        way.RemoveAll(e => e.Stored.Seq >= from && e.Stored.Kind switch
        {
            EntryKind.StepCompleted or EntryKind.StepResolved or EntryKind.StepUnknown or EntryKind.TimerFired or EntryKind.ChildSpawned or EntryKind.ChildEnded => true,
            EntryKind.ApprovalRequested or EntryKind.ApprovalDecided => decided.Contains(e.Stored.Key),
            _ => false,
        });
    }

    /// <summary>A snapshot names entries by their numbers, which are others here.</summary>
    private static ReadOnlyMemory<byte> Body(ReadEntry entry, Dictionary<long, long> numbers)
    {
        if (entry.Stored.Kind != EntryKind.Snapshot)
            return entry.Stored.Body;
        var snapshot = JournalJson.Read<EntryBody.Snapshot>(entry.Body);
        return JournalJson.Write(snapshot with
        {
            Signals = [.. snapshot.Signals.Where(numbers.ContainsKey).Select(seq => numbers[seq])],
            Seen = snapshot.Seen is { } seen ? numbers.Where(n => n.Key <= seen).Select(n => n.Value).DefaultIfEmpty().Max() : null,
        });
    }
}
