using System.Collections.Immutable;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.InMemory;

/// <summary>
/// Everything that the store knows, and immutable: a unit makes the next state out of this one, a refused unit leaves
/// this one, and a snapshot is one reference. What is walked is sorted, so that equal histories give equal answers; what
/// is hashed is only looked up.
/// </summary>
internal sealed record MemoryState
{
    internal static readonly MemoryState Empty = new();

    /// <summary>By creation.</summary>
    internal ImmutableSortedDictionary<long, MemoryRun> Runs { get; init; } = ImmutableSortedDictionary<long, MemoryRun>.Empty;

    internal ImmutableDictionary<RunId, long> Rows { get; init; } = ImmutableDictionary<RunId, long>.Empty;

    internal ImmutableDictionary<string, long> Keys { get; init; } = ImmutableDictionary<string, long>.Empty;

    internal ImmutableSortedDictionary<NodeId, MemoryNode> Nodes { get; init; } =
        ImmutableSortedDictionary.Create<NodeId, MemoryNode>(Comparer<NodeId>.Create((a, b) => a.Value.CompareTo(b.Value)));

    internal ImmutableSortedDictionary<string, ScheduleRecord> Schedules { get; init; } = ImmutableSortedDictionary.Create<string, ScheduleRecord>(StringComparer.Ordinal);

    /// <summary>Oldest first.</summary>
    internal ImmutableList<SnapshotRecord> Snapshots { get; init; } = [];

    internal MemoryLedger Ledger { get; init; } = new();

    internal ReadOnlyMemory<byte> KillSwitch { get; init; }

    internal long LastRow { get; init; }

    internal long LastInput { get; init; }

    internal MemoryRun? Find(RunId run) => Rows.TryGetValue(run, out var row) ? Runs[row] : null;

    internal MemoryState With(MemoryRun run) => this with { Runs = Runs.SetItem(run.Row, run) };

    internal RunRecord Show(MemoryRun run)
    {
        var node = BudgetNodes.Of(run.Id);
        return run.Record with { Path = run.Path, Money = Ledger.Of(node, LimitDimension.NanoUsd), Tokens = Ledger.Of(node, LimitDimension.Tokens) };
    }

    /// <summary>A node that is not there was removed after its end.</summary>
    internal bool IsAlive(NodeId node) => Nodes.TryGetValue(node, out var found) && !found.Dead;

    /// <summary>As coarse as a database keeps it, so that all stores answer alike.</summary>
    internal static DateTimeOffset Ms(DateTimeOffset at) => DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());
}

/// <param name="Record">Without the state of its budget, which the ledger has.</param>
/// <param name="Path">Budget nodes from the tenant to the run's own.</param>
internal sealed record MemoryRun(long Row, RunRecord Record, string RequestHash, ImmutableArray<string> Path, string? Key)
{
    internal RunId Id => Record.Id;

    internal ImmutableList<MemoryEntry> Journal { get; init; } = [];

    /// <summary>Inputs not consumed yet.</summary>
    internal ImmutableList<InboxInput> Inbox { get; init; } = [];

    /// <summary>Of every input that ever came.</summary>
    internal ImmutableHashSet<string> InputIds { get; init; } = [];

    internal ImmutableSortedDictionary<string, MemoryHold> Holds { get; init; } = ImmutableSortedDictionary.Create<string, MemoryHold>(StringComparer.Ordinal);

    internal IReadOnlyList<RunEvent> Events { get; init; } = [];

    /// <summary>Of the last unit that was written.</summary>
    internal Guid? LastAppend { get; init; }

    internal MemoryRun Append(long epoch, DateTimeOffset at, Guid appendId, JournalDraft draft)
    {
        var entry = new JournalEntry(Record.LastSeq + 1, epoch, MemoryState.Ms(draft.At ?? at), draft.Kind, draft.Scope, draft.Key, draft.Attempt,
            draft.Body.ToArray(), draft.Payload is { } payload ? payload.ToArray() : default(ReadOnlyMemory<byte>?), draft.Blob);
        entry = entry with { Chain = JournalChain.Next(Journal is [.., var last] ? last.Entry.Chain.Span : default, Id, entry) };
        return this with { Journal = Journal.Add(new MemoryEntry(entry, appendId)), Record = Record with { LastSeq = entry.Seq } };
    }
}

internal sealed record MemoryEntry(JournalEntry Entry, Guid AppendId);

internal sealed record MemoryHold(long Epoch, Amounts Amounts);

/// <param name="BeatAt">The store's monotonic time of its last beat.</param>
/// <param name="SteadySince">Since when it has beaten without a gap of a lease's length.</param>
internal sealed record MemoryNode(NodeRegistration Registration, long BeatAt, long SteadySince, bool Dead);
