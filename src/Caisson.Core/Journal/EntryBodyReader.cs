using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>Reads the body of an entry whose kind is known only at run time.</summary>
internal static class EntryBodyReader
{
    /// <summary>The body, or <c>null</c> for a kind that this version does not know.</summary>
    /// <exception cref="CaissonException">The body is not what its kind says: <see cref="ErrorCodes.DatabaseCorrupt"/>.</exception>
    internal static EntryBody? Read(EntryKind kind, ReadOnlyMemory<byte> json) => kind switch
    {
        EntryKind.RunCreated => JournalJson.Read<EntryBody.RunCreated>(json),
        EntryKind.EpochClaimed => JournalJson.Read<EntryBody.EpochClaimed>(json),
        EntryKind.StepStarted => JournalJson.Read<EntryBody.StepStarted>(json),
        EntryKind.StepCompleted => JournalJson.Read<EntryBody.StepCompleted>(json),
        EntryKind.StepFailed => JournalJson.Read<EntryBody.StepFailed>(json),
        EntryKind.LimitHit => JournalJson.Read<EntryBody.LimitHit>(json),
        EntryKind.LimitRaised => JournalJson.Read<EntryBody.LimitRaised>(json),
        EntryKind.LoopSuspected => JournalJson.Read<EntryBody.LoopSuspected>(json),
        EntryKind.Drift => JournalJson.Read<EntryBody.Drift>(json),
        EntryKind.CancelRequested => JournalJson.Read<EntryBody.CancelRequested>(json),
        EntryKind.Paused => JournalJson.Read<EntryBody.Paused>(json),
        EntryKind.Resumed => JournalJson.Read<EntryBody.Resumed>(json),
        EntryKind.RunEnded => JournalJson.Read<EntryBody.RunEnded>(json),
        EntryKind.StepUnknown => JournalJson.Read<EntryBody.StepUnknown>(json),
        EntryKind.StepResolved => JournalJson.Read<EntryBody.StepResolved>(json),
        EntryKind.SignalConsumed => JournalJson.Read<EntryBody.SignalConsumed>(json),
        EntryKind.TimerSet => JournalJson.Read<EntryBody.TimerSet>(json),
        EntryKind.TimerFired => JournalJson.Read<EntryBody.TimerFired>(json),
        EntryKind.ChildSpawned => JournalJson.Read<EntryBody.ChildSpawned>(json),
        EntryKind.ChildEnded => JournalJson.Read<EntryBody.ChildEnded>(json),
        EntryKind.ApprovalRequested => JournalJson.Read<EntryBody.ApprovalRequested>(json),
        EntryKind.ApprovalDecided => JournalJson.Read<EntryBody.ApprovalDecided>(json),
        EntryKind.WorkspaceSaved => JournalJson.Read<EntryBody.WorkspaceSaved>(json),
        EntryKind.Snapshot => JournalJson.Read<EntryBody.Snapshot>(json),
        EntryKind.ForkedFrom => JournalJson.Read<EntryBody.ForkedFrom>(json),
        EntryKind.VersionAdopted => JournalJson.Read<EntryBody.VersionAdopted>(json),
        _ => null,
    };

    /// <summary>The step that an entry is about, if it is about one.</summary>
    internal static StepSubject? StepOf(EntryBody body) => body switch
    {
        EntryBody.StepStarted started => started.Step,
        EntryBody.StepCompleted completed => completed.Step,
        EntryBody.StepFailed failed => failed.Step,
        EntryBody.StepUnknown unknown => unknown.Step,
        EntryBody.StepResolved resolved => resolved.Step,
        _ => null,
    };
}
