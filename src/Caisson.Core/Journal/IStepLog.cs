using Caisson.Contracts;

namespace Caisson.Core.Journal;

/// <summary>
/// The steps of one owned run: what is recorded, and the way to record more. Every write is durable when it returns.
/// When the ownership is lost a write throws <see cref="OperationCanceledException"/>; nobody repairs anything.
/// </summary>
public interface IStepLog
{
    RunId Run { get; }

    /// <summary>The fencing number of the present ownership; sent to the outside as <c>Run-Epoch</c>.</summary>
    long Epoch { get; }

    /// <summary>
    /// Identity of a model call: its hash and how often that hash came before in this scope of this attempt. Taken at
    /// the call's entry, so concurrent calls keep their order.
    /// </summary>
    StepKey ModelStep(string identity);

    /// <summary>The recorded completion of this step, if it is older than this attempt and not yet consumed; consumes it.</summary>
    StepLookup Find(StepKey key, StepSubject subject);

    /// <summary>Whether bytes may leave for the outside right now: the node's lease surely holds.</summary>
    bool MaySend { get; }

    /// <summary>Ends when the run should halt: whoever waits between two attempts gives up waiting. What is under way goes on.</summary>
    CancellationToken Halting { get; }

    /// <summary>Checks every limit and, where there is a hold, reserves it and journals the intent, durably.</summary>
    Task<BeginOutcome> BeginAsync(StepKey key, StepSubject subject, Hold? hold, CancellationToken cancellationToken);

    /// <summary>Shows that the run waits for something outside before it goes on with a step that has begun; <c>null</c>: it goes on. Nothing is journaled.</summary>
    Task ShowWaitAsync(OutsideWait? wait, CancellationToken cancellationToken);

    /// <summary>Journals a failed attempt and what becomes of its hold. With a time, the run shows as waiting for the retry.</summary>
    Task FailAttemptAsync(StepKey key, StepSubject subject, int attempt, Failure failure, HoldFate fate, DateTimeOffset? retryAt, CancellationToken cancellationToken);

    /// <summary>Journals the result and settles the hold in one transaction.</summary>
    Task CompleteAsync(StepKey key, StepSubject subject, StepResult result, CancellationToken cancellationToken);
}

/// <summary>Identity of a step within its run and its lineage: a SHA-256 over length-prefixed fields, in hex.</summary>
public readonly record struct StepKey(string Hash)
{
    public override string ToString() => Hash;
}

public enum StepKind
{
    Model = 1,
    Tool = 2,
    /// <summary>A piece of code in the host's process with a name.</summary>
    Named = 3,
}

/// <summary>What a step does. Stored and compared on replay; a mismatch is drift, never another identity.</summary>
/// <param name="Name">Model, tool or step name.</param>
/// <param name="ArgumentsHash">Hash of the arguments.</param>
/// <param name="CallId">The provider's tool call id, if any.</param>
/// <param name="Arguments">A short form for people, cut to a bound.</param>
public sealed record StepSubject(StepKind Kind, string Name, string ArgumentsHash, string? CallId, string? Arguments);

public abstract record StepLookup
{
    public sealed record Recorded(StepRecord Record) : StepLookup;

    public sealed record NotRecorded(int PriorAttempts) : StepLookup;

    public sealed record Drifted(DriftReport Report) : StepLookup;
}

/// <summary>A completed step as the journal has it.</summary>
public sealed record StepRecord(long Seq, StepKey Key, StepSubject Subject, ReadOnlyMemory<byte> Result, Failure? Failure, string? WorkspaceRoot);

/// <summary>Where a replay first parts from the journal.</summary>
public sealed record DriftReport(long Seq, string Recorded, string Asked);

/// <summary>What is set aside before the outside is called: an upper bound.</summary>
/// <param name="Tokens">In and out together.</param>
public sealed record Hold(long NanoUsd, long Tokens)
{
    /// <summary>The parts of <see cref="Tokens"/>, held where a node caps one of them.</summary>
    public long InputTokens { get; init; }
    public long OutputTokens { get; init; }

    /// <summary>Digest of the price table that the money was computed with; <c>null</c> where there is no price, and in older entries.</summary>
    public string? Prices { get; init; }
}

/// <param name="For">For people: what is waited for.</param>
/// <param name="Until">At most, as far as is known.</param>
public sealed record OutsideWait(string For, DateTimeOffset Until);

public enum HoldFate
{
    /// <summary>The same call is tried again under the same hold.</summary>
    Keep = 1,
    /// <summary>Surely not billed: the hold goes back.</summary>
    Release = 2,
    /// <summary>Perhaps billed: the hold is spent and listed in the waste ledger.</summary>
    InDoubt = 3,
}

/// <summary>What was really used.</summary>
/// <param name="Estimated">The provider gave no figures; these were counted here.</param>
public sealed record Usage(long NanoUsd, long InputTokens, long OutputTokens, long CachedInputTokens = 0, bool Estimated = false)
{
    public static readonly Usage None = new(0, 0, 0);

    /// <summary>The model that answered, <c>provider/model</c>, where another one stood in for it; else <c>null</c>.</summary>
    public string? AnsweredBy { get; init; }

    /// <summary>Digest of the price table that the bill was made with; <c>null</c> where there is no price, and in older entries.</summary>
    public string? Prices { get; init; }
}

/// <param name="Result">JSON, as it will be answered on replay.</param>
/// <param name="Attempt">The attempt that succeeded, from 1.</param>
/// <param name="Failure">A step may end with a failure that is its result: it is answered on replay as well.</param>
/// <param name="WorkspaceRoot">State of the workspace at the step's end, where it changed.</param>
public sealed record StepResult(ReadOnlyMemory<byte> Result, Usage Usage, int Attempt, DateTimeOffset StartedAt, Failure? Failure = null, string? WorkspaceRoot = null);

public abstract record BeginOutcome
{
    public sealed record Begun : BeginOutcome;

    public sealed record Denied(LimitDenial Denial) : BeginOutcome;
}

/// <summary>Why a step was not admitted: which node of the budget path, which limit, how much is gone.</summary>
public sealed record LimitDenial(string Node, LimitDimension Dimension, long Cap, long Spent, long Held, long Wanted);
