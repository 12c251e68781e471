using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Stores;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>An input stays until its owner has journaled what it says, in the same unit.</summary>
internal static class InputCheck
{
    internal static (string, string)? Posted(Commit commit)
    {
        if (commit is { Request: NewInput input, Outcome: PostOutcome.Posted } && !commit.After.Find(input.Run)!.Inbox.Exists(i => i.InputId == input.InputId))
            return ("I9", $"input {input.InputId} of run {input.Run} was accepted and is not there");
        foreach (var run in commit.After.Runs.Values)
        {
            if (commit.Before.Find(run.Id) is not { } before || ReferenceEquals(before, run) || before.Inbox.IsEmpty)
                continue;
            var allowed = commit.Request is ChangeSet unit && unit.Run == run.Id ? unit.ConsumedInputs : [];
            if (before.Inbox.Find(i => !allowed.Contains(i.Id) && !run.Inbox.Exists(j => j.Id == i.Id)) is { } lost)
                return ("I9", $"{lost.Kind} {lost.InputId} of run {run.Id} vanished with {commit.Operation}");
        }

        return null;
    }

    internal static (string, string)? Consumed(Commit commit, ChangeSet unit)
    {
        if (ReferenceEquals(commit.Before, commit.After))
            return null;
        var before = commit.Before.Find(unit.Run)!;
        var after = commit.After.Find(unit.Run)!;
        foreach (var signal in unit.Entries.Where(e => e.Kind == EntryKind.SignalConsumed).Select(e => JournalJson.Read<EntryBody.SignalConsumed>(e.Body)))
        {
            if (after.Inbox.Exists(i => i.InputId == signal.InputId))
                return ("I9", $"signal {signal.InputId} of run {unit.Run} is journaled and still waits");
        }

        foreach (var id in unit.ConsumedInputs)
        {
            if (before.Inbox.Find(i => i.Id == id) is not { } input)
                return ("I9", $"run {unit.Run} consumes input {id}, which is not there");
            if (!IsAnswered(input, unit, before))
                return ("I9", $"{input.Kind} {input.InputId} of run {unit.Run} was consumed, and the journal does not say so");
        }

        return null;
    }

    private static bool IsAnswered(InboxInput input, ChangeSet unit, MemoryRun before) => input.Kind switch
    {
        InputKind.Signal => unit.Entries.Any(e => e.Kind == EntryKind.SignalConsumed && JournalJson.Read<EntryBody.SignalConsumed>(e.Body).InputId == input.InputId),
        InputKind.Cancel => unit.Entries.Any(e => e.Kind == EntryKind.CancelRequested),
        InputKind.ChildEnded => unit.Entries.Any(e => e.Kind == EntryKind.ChildEnded)
            || before.Journal.Exists(e => e.Entry.Kind == EntryKind.ChildEnded && JournalJson.Read<EntryBody.ChildEnded>(e.Entry.Body).Child == JournalJson.Read<InputBody.ChildEnd>(input.Payload).Child),
        _ => true,
    };
}
