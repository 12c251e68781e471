using System.Collections.Immutable;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Golden;

/// <summary>
/// A store as it stood when a recorded process died: each run with a part of its journal, exactly as stored, and with
/// the row, inbox and ledger that belong to that part.
/// </summary>
internal static class GoldenState
{
    private static readonly NodeId Dead = new(new Guid("dead0000-0000-4000-8000-000000000000"));

    /// <param name="kept">How many entries of a run are there; with none of them the run is not there either.</param>
    internal static MemoryState Of(GoldenFile golden, Func<GoldenRun, int> kept)
    {
        var state = MemoryState.Empty;
        foreach (var run in golden.Runs)
        {
            if (kept(run) > 0)
                state = Add(state, run, run.Entries.Take(kept(run)).ToImmutableList(), golden.Blobs);
        }

        // The end of a child is told to its parent in the child's last unit.
        foreach (var child in golden.Runs.Where(r => r.Parent is not null && kept(r) == r.Entries.Count))
        {
            var end = child.End;
            state = RunUnits.Post(state, new NewInput(child.Parent!.Value, $"ended:{child.Id}", InputKind.ChildEnded,
                JournalJson.Write(new InputBody.ChildEnd(child.Id.ToString(), end.Status, end.Result, end.Failure))), At(child)).State;
        }

        return state;
    }

    private static DateTimeOffset At(GoldenRun run) => run.Entries[^1].Entry.At;

    private static MemoryState Add(MemoryState state, GoldenRun golden, ImmutableList<MemoryEntry> entries, IReadOnlyDictionary<string, byte[]> blobs)
    {
        var history = new RunHistory();
        foreach (var entry in entries.Select(e => Resolve(e.Entry, blobs)))
            history.Add(entry);
        var limits = history.Created!.Manifest.Limits;
        var last = entries[^1].Entry;
        state = RunUnits.Create(state, new NewRun(golden.Id, golden.Agent, null, "golden", entries[0].Entry.At, new JournalDraft(EntryKind.RunCreated, default),
            new RunSummary { Labels = history.Created.Labels }, limits.NanoUsd, limits.Tokens)
        {
            Parent = golden.Parent,
            Depth = golden.Depth,
            Caps = CountLimits.CapsOf(limits),
        }).State;

        var run = state.Find(golden.Id)!;
        var ledger = Spend(run, state.Ledger, entries);
        var (status, paused, ended) = Stand(entries);
        run = run with
        {
            Journal = entries,
            LastAppend = entries[^1].AppendId == Guid.Empty ? null : entries[^1].AppendId,
            InputIds = [.. Bodies<EntryBody.SignalConsumed>(entries, EntryKind.SignalConsumed).Select(s => s.InputId),
                .. Bodies<EntryBody.ChildEnded>(entries, EntryKind.ChildEnded).Select(c => $"ended:{c.Child}")],
            Record = run.Record with
            {
                Status = status,
                Paused = paused,
                Epoch = last.Epoch,
                LastSeq = last.Seq,
                UpdatedAt = last.At,
                EndedAt = ended ? last.At : null,
                DueAt = ended || status == RunStatus.Paused ? null : last.At,
                Owner = status == RunStatus.Running ? Dead : null,
                Summary = run.Record.Summary with
                {
                    Steps = history.Steps,
                    ToolCalls = history.ToolCalls,
                    ModelCalls = history.ModelCalls,
                    Children = history.Children.Count,
                    InputTokens = history.InputTokens,
                    OutputTokens = history.OutputTokens,
                    WorkspaceRoot = history.WorkspaceRoot,
                    Kept = history.Kept,
                    Result = ended ? golden.End.Result : null,
                    Failure = ended ? golden.End.Failure : null,
                },
            },
        };
        return state.With(run with { Holds = Held(entries) }) with { Ledger = ledger };
    }

    private static (RunStatus Status, PauseCause Paused, bool Ended) Stand(ImmutableList<MemoryEntry> entries)
    {
        if (Bodies<EntryBody.RunEnded>(entries, EntryKind.RunEnded).SingleOrDefault() is { } end)
            return (end.Status, PauseCause.None, true);
        var halt = entries.LastOrDefault(e => e.Entry.Kind is EntryKind.Paused or EntryKind.Resumed)?.Entry;
        return halt is { Kind: EntryKind.Paused } ? (RunStatus.Paused, JournalJson.Read<EntryBody.Paused>(halt.Body).Cause, false)
            : entries.Count == 1 ? (RunStatus.Ready, PauseCause.None, false)
            : (RunStatus.Running, PauseCause.None, false);
    }

    /// <summary>Holds that neither a completion nor a claim has ended.</summary>
    private static ImmutableSortedDictionary<string, MemoryHold> Held(ImmutableList<MemoryEntry> entries)
    {
        var holds = ImmutableSortedDictionary.Create<string, MemoryHold>(StringComparer.Ordinal);
        foreach (var entry in entries.Select(e => e.Entry))
        {
            holds = entry.Kind switch
            {
                EntryKind.StepStarted when JournalJson.Read<EntryBody.StepStarted>(entry.Body).Hold is { } hold => holds.SetItem(entry.Key!, new MemoryHold(entry.Epoch, Amounts.Of(hold))),
                EntryKind.StepCompleted => holds.Remove(entry.Key!),
                EntryKind.EpochClaimed => holds.Clear(),
                _ => holds,
            };
        }

        return holds;
    }

    private static MemoryLedger Spend(MemoryRun run, MemoryLedger ledger, ImmutableList<MemoryEntry> entries)
    {
        foreach (var raised in Bodies<EntryBody.LimitRaised>(entries, EntryKind.LimitRaised))
        {
            if (raised.Limits.NanoUsd is { } cap)
                ledger = ledger.SetCap(run.Path[^1], LimitDimension.NanoUsd, cap, () => 0);
        }

        foreach (var completed in Bodies<EntryBody.StepCompleted>(entries, EntryKind.StepCompleted))
        {
            ledger = ledger.Settle(run.Path, default, Amounts.Of(completed.Usage ?? Usage.None), default);
            foreach (var dimension in CountLimits.CountsOf(completed.Step.Kind))
                ledger = ledger.Count(run.Path.Take(run.Path.Length - 1), dimension, 1);
        }

        foreach (var (hold, epoch) in Bodies<EntryBody.EpochClaimed>(entries, EntryKind.EpochClaimed).SelectMany(c => c.InDoubt).Select(h => (new Amounts(h.NanoUsd, h.Tokens, 0, 0), h.Epoch)))
            ledger = ledger.Settle(run.Path, default, hold, hold);
        foreach (var hold in Held(entries).Values)
            ledger = ledger.Hold(run.Path, hold.Amounts);
        return ledger;
    }

    private static JournalEntry Resolve(JournalEntry entry, IReadOnlyDictionary<string, byte[]> blobs) =>
        entry.Blob is not { } address ? entry : entry.Body.IsEmpty ? entry with { Body = blobs[address] } : entry with { Payload = blobs[address] };

    private static IEnumerable<T> Bodies<T>(IEnumerable<MemoryEntry> entries, EntryKind kind)
        where T : EntryBody => entries.Where(e => e.Entry.Kind == kind).Select(e => JournalJson.Read<T>(e.Entry.Body));
}
