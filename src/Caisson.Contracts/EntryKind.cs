namespace Caisson.Contracts;

/// <summary>What a journal entry records. The numbers are stored: never reuse one.</summary>
public enum EntryKind
{
    RunCreated = 1,
    EpochClaimed = 2,
    StepStarted = 3,
    StepCompleted = 4,
    StepFailed = 5,
    LimitHit = 6,
    LimitRaised = 7,
    LoopSuspected = 8,
    Drift = 9,
    CancelRequested = 10,
    Paused = 11,
    Resumed = 12,
    /// <summary>Nothing comes after it.</summary>
    RunEnded = 13,
    /// <summary>A step that must not be repeated was under way when its owner died: nobody knows whether it took effect.</summary>
    StepUnknown = 14,
    /// <summary>Its outcome was decided: verified, reported, compensated, or set by a person. Stands for the completion.</summary>
    StepResolved = 15,
    /// <summary>A signal was taken from the inbox into the journal.</summary>
    SignalConsumed = 16,
    TimerSet = 17,
    TimerFired = 18,
    ChildSpawned = 19,
    ChildEnded = 20,
    ApprovalRequested = 21,
    ApprovalDecided = 22,
    WorkspaceSaved = 23,
    /// <summary>State that the agent saved: a replay begins here.</summary>
    Snapshot = 24,
    /// <summary>The entries that follow were copied from another run's journal, up to a place in it.</summary>
    ForkedFrom = 25,
    /// <summary>Another build of the agent replayed the journal without drift and goes on with it.</summary>
    VersionAdopted = 26,
    /// <summary>Something is about to leave the box of a step that may change the world outside: the step must not be repeated unseen.</summary>
    EgressIntended = 27,
    /// <summary>The run ends, and this is all that stays of its files: workspaces that earlier entries name are let go. The end follows in the same write.</summary>
    WorkspaceKept = 28,
    /// <summary>Requests of a program that were answered from the journal since the last one: how many at which level of likeness.</summary>
    Replayed = 29,
}
