using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Turns;

/// <summary>Something that the agent asked for and that is not answered yet.</summary>
/// <param name="slot">Where its answer arrives.</param>
/// <param name="answer">Gives the agent its answer; runs between two steps of the agent's code. <c>null</c>: taken. A report: what is recorded is of something else.</param>
internal sealed class Operation(string slot, Func<Arrival, DriftReport?> answer)
{
    internal string Slot { get; } = slot;

    /// <summary>A second place, whose arrival ends the wait without what it waited for.</summary>
    internal string? TimeoutSlot { get; init; }

    internal Func<Arrival, DriftReport?> Answer { get; } = answer;

    /// <summary>Does it, off the agent's scheduler; its answer comes by way of the journal. <c>null</c> where nothing is to be done but to wait.</summary>
    internal Func<Task>? Execute { get; init; }

    /// <summary>What has to be journaled before it counts as asked for; <c>null</c> where nothing has.</summary>
    internal Func<Intent>? Intent { get; init; }

    /// <summary>What the run waits for while this is open; <c>null</c> for something that executes.</summary>
    internal WaitReason? Waits { get; init; }

    /// <summary>For people: what is awaited. Of a step, what it is.</summary>
    internal string Text
    {
        get => field ?? (Step is null ? "" : RunHistory.Describe(Step));
        init;
    }

    internal StepSubject? Step { get; init; }

    /// <summary>When it is answered by the clock.</summary>
    internal DateTimeOffset? DueAt { get; set; }

    /// <summary>The entry that answers it then; none where another has meanwhile.</summary>
    internal Func<EntryDraft?>? AtDue { get; init; }
}

/// <summary>Entries that make a wait durable, and when the clock ends it.</summary>
internal sealed record Intent(IReadOnlyList<EntryDraft> Entries, DateTimeOffset? DueAt = null);

/// <summary>What a run waits for when nothing of it executes.</summary>
internal sealed record Waiting(WaitReason Reason, DateTimeOffset? DueAt, string Text);

/// <summary>How often each identity was asked for in one attempt; taken when the call is made, so that order is the agent's.</summary>
internal sealed class Occurrences
{
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);

    internal Occurrences(IReadOnlyDictionary<string, int> saved)
    {
        foreach (var (name, count) in saved)
            _counts[name] = count;
    }

    /// <summary>The key of the next occurrence of an identity in its scope.</summary>
    internal StepKey Next(string kind, string scope, string identity)
    {
        var nth = Count(kind, scope, identity);
        return new StepKey(StepHash.Of(kind, scope, identity, nth.ToString(System.Globalization.CultureInfo.InvariantCulture)));
    }

    internal int Count(string kind, string scope, string identity)
    {
        var name = kind + "\0" + scope + "\0" + identity;
        var nth = _counts.GetValueOrDefault(name);
        _counts[name] = nth + 1;
        return nth;
    }

    /// <summary>How often anything of this kind was asked for.</summary>
    internal int Total(string kind) => _counts.Where(c => c.Key.StartsWith(kind + "\0", StringComparison.Ordinal)).Sum(c => c.Value);

    internal IReadOnlyDictionary<string, int> Save() => new SortedDictionary<string, int>(_counts, StringComparer.Ordinal);
}
