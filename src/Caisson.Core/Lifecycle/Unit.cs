using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>What an owner wants written in one go; the session adds fence, place and time.</summary>
internal sealed record Unit
{
    internal IReadOnlyList<EntryDraft> Entries { get; init; } = [];

    /// <summary>What becomes of the state, decided at the moment of the write; <c>null</c> where it stays.</summary>
    internal Func<RunState, Transition?>? Transition { get; init; }
    internal IReadOnlyList<BudgetChange> Budget { get; init; } = [];
    internal IReadOnlyList<long> Consumed { get; init; } = [];
    internal Func<RunSummary, RunSummary>? Update { get; init; }
    internal IReadOnlyList<NewRun> Children { get; init; } = [];

    /// <summary>
    /// Makes the unit at the moment of the write, where it depends on what the journal says: an entry that is just being
    /// written is in the store, and others may answer it, before this owner has heard that it is.
    /// </summary>
    internal Func<Unit>? Decide { get; init; }

    /// <summary>The step that is no longer under way after it.</summary>
    internal StepKey? Done { get; init; }
}

/// <summary>One call of a step: what it is and where it stands.</summary>
internal sealed record StepCall(StepKey Key, StepSubject Subject, string Scope);
