using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;

namespace Caisson.Core.Stores;

/// <summary>Everything that one write of an owner changes: all of it or nothing.</summary>
/// <param name="AppendId">Random: the same unit sent again is recognised by it.</param>
/// <param name="FirstSeq">The place of the first entry; a mismatch means a stale fence.</param>
/// <param name="State">The run's row after the change.</param>
/// <param name="ConsumedInputs">Inbox rows that the entries stand for.</param>
public sealed record ChangeSet(
    RunId Run,
    Fence Fence,
    Guid AppendId,
    long FirstSeq,
    DateTimeOffset At,
    IReadOnlyList<JournalDraft> Entries,
    RunRow State,
    IReadOnlyList<BudgetChange> Budget,
    IReadOnlyList<long> ConsumedInputs)
{
    /// <summary>Child runs that begin to exist with this unit.</summary>
    public IReadOnlyList<NewRun> Children { get; init; } = [];

    /// <summary>Inputs for other runs that are due with this unit: a child's end for its parent, a cancel for its children. One for a run that has ended, is gone, or has it already is dropped.</summary>
    public IReadOnlyList<NewInput> Posts { get; init; } = [];

    /// <summary>What happened beside the journal since the last unit; each is added to those like it.</summary>
    public IReadOnlyList<RunEvent> Events { get; init; } = [];
}

/// <summary>What the store keeps about a run beside its journal.</summary>
/// <param name="DueAt">When a node should claim it; <c>null</c> for a paused or ended run.</param>
/// <param name="Release">Whether the owner lets go of it with this write.</param>
public sealed record RunRow(RunStatus Status, WaitReason Waiting, PauseCause Paused, DateTimeOffset? DueAt, bool Release, RunSummary Summary);

public abstract record BudgetChange
{
    /// <summary>Adds a hold on every node of the path, or denies the unit: spent + held + hold ≤ cap on each.</summary>
    public sealed record Reserve(string StepKey, Hold Hold) : BudgetChange
    {
        /// <summary>What must still be free on the run's own node beside the hold, for a last call; it is looked at, not taken.</summary>
        public Amounts Kept { get; init; }
    }

    /// <summary>Ends the hold and adds what was really used; the sum may pass the cap, which then admits nothing more.</summary>
    public sealed record Settle(string StepKey, Usage Usage) : BudgetChange;

    /// <summary>Ends the hold: nothing was used.</summary>
    public sealed record Release(string StepKey) : BudgetChange;

    /// <summary>Ends the hold and counts it as spent, in doubt.</summary>
    public sealed record Doubt(string StepKey) : BudgetChange;

    /// <summary>Sets the run's own cap; <c>null</c> lifts it. A cap below what is spent stops admissions, nothing else.</summary>
    public sealed record SetCap(LimitDimension Dimension, long? Cap) : BudgetChange;

    /// <summary>Counts work done (steps, calls, children) on the nodes above the run, where they have such a row. Never denied: what is done is done.</summary>
    public sealed record Count(LimitDimension Dimension, long Amount) : BudgetChange;
}

/// <summary>The part of a run's row that nothing is searched by. Stored as JSON.</summary>
public sealed record RunSummary
{
    public string? Detail { get; init; }
    public long Steps { get; init; }
    public long ToolCalls { get; init; }
    public long ModelCalls { get; init; }

    /// <summary>Child runs that it spawned itself, over its whole life.</summary>
    public long Children { get; init; }
    public long InputTokens { get; init; }
    public long OutputTokens { get; init; }

    /// <summary>Not stored: laid over the row by the process that drives the run.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public string? CurrentStep { get; init; }
    public string? Result { get; init; }
    public Failure? Failure { get; init; }
    public string? WorkspaceRoot { get; init; }

    /// <summary>The workspace that the run began with, where it was not empty: a program begins again with it.</summary>
    public string? StartRoot { get; init; }

    /// <summary>
    /// What was kept of the files when the run ended, where that is not all: then <see cref="WorkspaceRoot"/> is the only
    /// workspace that the run refers to, whatever its journal names.
    /// </summary>
    public WorkspaceKeep? Kept { get; init; }

    /// <summary>The saved workspaces that the run needs beside those of its steps.</summary>
    public IEnumerable<string> Roots() => new[] { WorkspaceRoot, Kept is null ? StartRoot : null }.OfType<string>().Distinct();

    /// <summary>It ended, but something of it may still act: a box that is not confirmed gone.</summary>
    public bool Unconfirmed { get; init; }

    /// <summary>The limit that a run paused by its budget has reached.</summary>
    public LimitDimension? LimitAt { get; init; }

    /// <summary>The node whose limit that is, where it is not the run's own: its tenant's or an ancestor's.</summary>
    public string? LimitAbove { get; init; }

    /// <summary>The least cap that lets the run go on from there.</summary>
    public long? LimitNeeds { get; init; }
    public IReadOnlyList<string> Artifacts { get; init; } = [];
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
}

/// <summary>A run's row as read, with the state of its budget node.</summary>
public sealed record RunRecord(
    RunId Id,
    string Agent,
    RunStatus Status,
    WaitReason Waiting,
    PauseCause Paused,
    DateTimeOffset CreatedAt,
    DateTimeOffset UpdatedAt,
    DateTimeOffset? EndedAt,
    DateTimeOffset? DueAt,
    NodeId? Owner,
    long Epoch,
    long LastSeq,
    RunSummary Summary,
    BudgetState Money,
    BudgetState Tokens)
{
    public string Tenant { get; init; } = BudgetNodes.DefaultTenant;
    public RunId? Parent { get; init; }

    /// <summary>Generations above this run.</summary>
    public int Depth { get; init; }

    /// <summary>The least <see cref="EngineVersion.Level"/> that can read its journal.</summary>
    public int MinEngine { get; init; } = EngineVersion.Level;

    /// <summary>The run that it was forked from.</summary>
    public RunId? Origin { get; init; }

    /// <summary>Budget nodes that a hold of it counts on, from the tenant to its own.</summary>
    public IReadOnlyList<string> Path { get; init; } = [];

    /// <summary>Crashes in a row in which this run was at work, without a completed step since.</summary>
    public int Suspicion { get; init; }

    /// <summary>Crashes in which it alone was at work.</summary>
    public int LoneCrashes { get; init; }
}

/// <param name="Cap"><c>null</c> for none.</param>
/// <param name="InDoubt">Part of <paramref name="Spent"/> that a crash left unsettled.</param>
public sealed record BudgetState(long? Cap, long Spent, long Held, long InDoubt)
{
    public static readonly BudgetState None = new(null, 0, 0, 0);
}

public enum InputKind
{
    Cancel = 1,
    Pause = 2,
    Resume = 3,
    /// <summary>New caps for the run, without resuming it.</summary>
    Raise = 4,
    Signal = 5,
    Approval = 6,
    ChildEnded = 7,
    /// <summary>A person says how a step of unknown outcome came out.</summary>
    Resolve = 8,
    /// <summary>Makes the run due, and says nothing.</summary>
    Wake = 9,
}

/// <param name="InputId">Unique within the run; a second post with it is a duplicate.</param>
public sealed record NewInput(RunId Run, string InputId, InputKind Kind, ReadOnlyMemory<byte> Payload);

public sealed record InboxInput(long Id, string InputId, InputKind Kind, ReadOnlyMemory<byte> Payload, DateTimeOffset At);
