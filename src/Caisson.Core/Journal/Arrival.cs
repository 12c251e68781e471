using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>An entry that answers something an agent asked for. Agents get them one at a time, in the journal's order.</summary>
/// <param name="Slot">The place where the call that it answers waits.</param>
internal sealed record Arrival(long Seq, DateTimeOffset At, EntryKind Kind, string? Key, EntryBody Body, ReadOnlyMemory<byte> Payload, string Slot)
{
    /// <summary>The place of an entry's answer; <c>null</c> for an entry that answers nothing.</summary>
    internal static string? SlotOf(EntryKind kind, string? key, EntryBody body) => (kind, body) switch
    {
        (EntryKind.StepCompleted, _) => Slots.Step(key!),
        (EntryKind.StepResolved, EntryBody.StepResolved { How: not StepResolutions.NotDone }) => Slots.Step(key!),
        (EntryKind.LimitHit, EntryBody.LimitHit { WrapUp: true }) => Slots.Step(key!),
        (EntryKind.Snapshot, _) => Slots.Step(key!),
        (EntryKind.SignalConsumed, EntryBody.SignalConsumed signal) => Slots.Signal(signal.Name),
        (EntryKind.TimerFired, _) => Slots.Timer(key!),
        (EntryKind.ChildSpawned, _) => Slots.Step(key!),
        (EntryKind.ChildEnded, _) => Slots.ChildEnd(key!),
        (EntryKind.ApprovalDecided, EntryBody.ApprovalDecided { Partial: false }) when !key!.StartsWith(Slots.LimitPrefix, StringComparison.Ordinal) => Slots.Approval(key!),
        _ => null,
    };
}

/// <summary>Names of the places where calls wait for their answers.</summary>
internal static class Slots
{
    /// <summary>Keys of questions that the engine itself asks: about a limit, not on behalf of the agent's code.</summary>
    internal const string LimitPrefix = "limit-";

    internal static string Step(string key) => "step:" + key;

    internal static string Timer(string key) => "timer:" + key;

    internal static string Signal(string name) => "signal:" + name;

    internal static string ChildEnd(string key) => "child:" + key;

    internal static string Approval(string key) => "approval:" + key;
}

/// <summary>How a step of unknown outcome was resolved.</summary>
internal static class StepResolutions
{
    internal const string Verified = "verified";
    internal const string NotDone = "not_done";
    internal const string Reported = "reported";
    internal const string Compensated = "compensated";
    internal const string Set = "set";
    internal const string Skipped = "skipped";
}

/// <summary>An entry that an owner is about to write, its large part not yet moved to the blobs.</summary>
internal sealed record EntryDraft(EntryKind Kind, EntryBody Body)
{
    internal string Scope { get; init; } = "";
    internal string? Key { get; init; }
    internal int Attempt { get; init; }
    internal ReadOnlyMemory<byte>? Payload { get; init; }
}
