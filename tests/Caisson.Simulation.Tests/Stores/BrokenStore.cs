using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Simulation.Tests.Stores;

/// <summary>A guard that is taken away, to see that the checks miss it.</summary>
public enum Breakage
{
    None = 0,
    /// <summary>A write of an owner that lost its run is taken.</summary>
    StaleFence,
    /// <summary>A unit that is sent again is not known any more.</summary>
    ForgottenAppend,
    /// <summary>A hold is made whatever the caps say.</summary>
    NoAdmission,
    /// <summary>A hold of an owner that is gone stays.</summary>
    KeptHold,
    /// <summary>Starts of steps that must not be repeated are not journaled.</summary>
    NoStart,
    /// <summary>An input vanishes when its run is released.</summary>
    LostInput,
    /// <summary>An input is journaled and stays in the inbox.</summary>
    InputTwice,
    /// <summary>An input does not make its run due.</summary>
    NoWake,
    /// <summary>A timer of a run that is unloaded is forgotten.</summary>
    LostTimer,
    /// <summary>A run that has ended takes more entries.</summary>
    AfterEnd,
    /// <summary>The row counts other than the journal.</summary>
    WrongRow,
    /// <summary>An acknowledged write is gone.</summary>
    LostTail,
    /// <summary>A nominal time starts a run though another did.</summary>
    FiresTwice,
}

/// <summary>Bends what reaches the store, or what it holds.</summary>
internal sealed class BrokenStore(Breakage breakage, MemoryStore store)
{
    private int _writes;

    internal ChangeSet Bend(ChangeSet unit)
    {
        var state = store.Snapshot();
        if (state.Find(unit.Run) is not { } run)
            return unit;
        switch (breakage)
        {
            case Breakage.StaleFence when run.Record.Owner is { } owner && owner != unit.Fence.Owner:
                return unit with { Fence = new Fence(owner, run.Record.Epoch), FirstSeq = run.Record.LastSeq + 1 };
            case Breakage.ForgottenAppend when run.Journal.Exists(e => e.AppendId == unit.AppendId) && run.Record.Owner == unit.Fence.Owner && run.Record.Epoch == unit.Fence.Epoch:
                return unit with { AppendId = Guid.Empty, FirstSeq = run.Record.LastSeq + 1 };
            case Breakage.NoAdmission when Amounts.Reserved(unit.Budget) is not null:
                var ledger = state.Ledger;
                foreach (var node in run.Path)
                    ledger = ledger.SetCap(node, Contracts.LimitDimension.NanoUsd, null, () => 0);
                store.Restore(state with { Ledger = ledger });
                return unit;
            case Breakage.NoStart:
                // The owner counts the entries, so one that says nothing takes its place.
                return unit with { Entries = [.. unit.Entries.Select(e => e.Kind == Contracts.EntryKind.StepStarted && e.Body.Span.IndexOf("at_most_once"u8) >= 0 ? Other(e) : e)] };
            case Breakage.LostTimer when unit.State is { Release: true, Status: Contracts.RunStatus.Waiting, DueAt: not null }:
                return unit with { State = unit.State with { DueAt = null } };
            case Breakage.WrongRow when unit.State.Summary.Steps == 3:
                return unit with { State = unit.State with { Summary = unit.State.Summary with { Steps = 4 } } };
            case Breakage.InputTwice when unit.ConsumedInputs.Count > 0 && unit.Entries.Any(e => e.Kind == Contracts.EntryKind.SignalConsumed):
                return unit with { ConsumedInputs = [] };
            default:
                return unit;
        }
    }

    internal ScheduleFire Bend(ScheduleFire fire) =>
        breakage == Breakage.FiresTwice && fire.Run is { } run && store.Snapshot().Schedules.GetValueOrDefault(fire.Name) is { LastRun: not null } schedule && schedule.Next != MemoryState.Ms(fire.From)
            ? fire with { From = schedule.Next ?? fire.From, Run = run with { IdempotencyKey = null } }
            : fire;

    /// <summary>What becomes of the state after a write.</summary>
    internal void After(string operation, object? request, MemoryState before)
    {
        var state = store.Snapshot();
        switch (breakage)
        {
            case Breakage.KeptHold when operation == "claim":
                store.Restore(Put(state, before));
                break;
            case Breakage.LostInput when request is ChangeSet { State.Release: true } unit && before.Find(unit.Run) is { Inbox.IsEmpty: false } && state.Find(unit.Run) is { } run:
                store.Restore(state.With(run with { Inbox = [], Record = run.Record with { DueAt = unit.State.DueAt } }));
                break;
            case Breakage.NoWake when request is NewInput input && state.Find(input.Run) is { } posted && before.Find(input.Run) is { } was:
                store.Restore(state.With(posted with { Record = posted.Record with { DueAt = was.Record.DueAt } }));
                break;
            case Breakage.AfterEnd when request is ChangeSet unit && unit.State.Status >= Contracts.RunStatus.Completed && state.Find(unit.Run) is { } ended && !ReferenceEquals(ended, before.Find(unit.Run)):
                store.Restore(state.With(ended.Append(ended.Record.Epoch, unit.At, Guid.Empty, new JournalDraft(Contracts.EntryKind.TimerFired, "{}"u8.ToArray(), Key: "late"))));
                break;
            case Breakage.LostTail when operation == "append" && ++_writes == 40:
                store.Restore(before);
                break;
        }
    }

    private static MemoryState Put(MemoryState state, MemoryState before)
    {
        foreach (var run in state.Runs.Values)
        {
            if (before.Find(run.Id) is { Holds.IsEmpty: false } was && run.Holds.IsEmpty)
                state = state.With(run with { Holds = was.Holds }) with { Ledger = before.Ledger };
        }

        return state;
    }

    private static JournalDraft Other(JournalDraft start) =>
        start with { Kind = Contracts.EntryKind.LimitRaised, Body = JournalJson.Write(new EntryBody.LimitRaised(new RaisedLimits(), "nobody")), Key = null, Attempt = 0 };
}
