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
}
