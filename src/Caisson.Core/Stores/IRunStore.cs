using Caisson.Contracts;

namespace Caisson.Core.Stores;

/// <summary>
/// The truth about runs. Each call is one atomic, durable unit: all of it or nothing, on stable storage when the task
/// completes. Many units may share one commit, and the outcome of one never depends on another's.
/// Expected answers are outcomes; an exception means that the outcome is unknown, and the embedded store ends the
/// process then, because only recovery can tell.
/// </summary>
public interface IRunStore
{
    /// <summary>Puts a run into the store, ready to be claimed. The idempotency key is unique for ever.</summary>
    Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken);

    /// <summary>
    /// One compare-and-swap: takes a due run that nobody alive owns, raises its epoch, journals <c>EpochClaimed</c>,
    /// and turns every hold of former epochs into money spent in doubt.
    /// </summary>
    Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken);

    /// <summary>Appends for the owner. A unit whose fence is stale changes nothing. Sending the same unit again is answered like the first time.</summary>
    Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken);

    /// <summary>Leaves an input for the owner and makes the run due. The only write that needs no ownership.</summary>
    Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken);
}

/// <summary>Reads. Each answer is one short transaction; lists are paged.</summary>
public interface IRunReader
{
    Task<RunRecord?> FindAsync(RunId run, CancellationToken cancellationToken);

    /// <summary>Newest first.</summary>
    Task<IReadOnlyList<RunRecord>> ListAsync(RunFilter filter, CancellationToken cancellationToken);

    /// <summary>Ids that begin with these characters, at most <paramref name="limit"/>.</summary>
    Task<IReadOnlyList<RunId>> FindByPrefixAsync(string prefix, int limit, CancellationToken cancellationToken);

    /// <summary>In order of <c>seq</c>.</summary>
    Task<IReadOnlyList<Journal.JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken);

    /// <summary>Inputs not consumed yet, in order of arrival.</summary>
    Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken);

    /// <summary>Runs that <paramref name="node"/> could claim now: due and unowned, or owned by a dead node. Earliest due first.</summary>
    Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken);

    /// <summary>When the next unowned run comes due, or <c>null</c>.</summary>
    Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken);

    /// <summary>Live runs that the store says this node owns, and whether inputs wait for each.</summary>
    Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken);
}

/// <summary>Leases of server processes.</summary>
public interface INodeStore
{
    /// <summary>Adds this process. An embedded store, which only one process can hold open, marks all others dead.</summary>
    Task RegisterAsync(NodeRegistration node, CancellationToken cancellationToken);

    /// <summary>Raises the beat. Called from the lease's own thread, so it is synchronous and uses its own connection.</summary>
    RenewOutcome Renew(NodeId node);

    /// <summary>Says that this node ends in an orderly way and owns nothing any more.</summary>
    Task RetireAsync(NodeId node, CancellationToken cancellationToken);
}

/// <summary>One server process: a new id for each start.</summary>
public readonly record struct NodeId(Guid Value)
{
    public override string ToString() => Value.ToString("N");
}

/// <param name="StartTicks">Start time of the process as the kernel counts it, so that a reused pid is told apart.</param>
public sealed record NodeRegistration(NodeId Id, string Host, string Boot, int Pid, long StartTicks);

public enum RenewOutcome
{
    Renewed = 1,
    /// <summary>Somebody declared this node dead: it owns nothing and may write nothing.</summary>
    Fenced = 2,
}

/// <summary>What a write must carry to be accepted.</summary>
public readonly record struct Fence(NodeId Owner, long Epoch);

public sealed record OwnedRun(RunId Run, bool HasInput);

/// <param name="IdempotencyKey">Unique; the same key with another <paramref name="RequestHash"/> is refused.</param>
/// <param name="Created">The <c>RunCreated</c> entry.</param>
/// <param name="NanoUsdCap">Cap of the run's budget node, <c>null</c> for none.</param>
public sealed record NewRun(
    RunId Id,
    string Agent,
    string? IdempotencyKey,
    string RequestHash,
    DateTimeOffset At,
    Journal.JournalDraft Created,
    RunSummary Summary,
    long? NanoUsdCap,
    long? TokensCap);

public abstract record CreateOutcome
{
    public sealed record Created : CreateOutcome;

    /// <summary>The same request was accepted before.</summary>
    public sealed record Existing(RunId Run) : CreateOutcome;

    /// <summary>The key was used for another request.</summary>
    public sealed record KeyMismatch(RunId Run) : CreateOutcome;
}

public abstract record ClaimOutcome
{
    /// <param name="Run">As it stands after the claim.</param>
    public sealed record Claimed(RunRecord Run) : ClaimOutcome;

    /// <summary>Not due, ended, gone, or owned by a living node.</summary>
    public sealed record NotClaimable : ClaimOutcome;
}

public static class RunClaims
{
    /// <summary>A paused run is claimed only to take its inputs over: it stays paused until one of them resumes it.</summary>
    public static RunStatus StatusAfter(RunStatus status) => status == RunStatus.Paused ? RunStatus.Paused : RunStatus.Running;
}

public abstract record AppendOutcome
{
    public sealed record Committed : AppendOutcome;

    /// <summary>Another epoch owns the run, or it ended. Nothing of the unit was written.</summary>
    public sealed record Fenced : AppendOutcome;

    /// <summary>A reservation did not fit. Nothing of the unit was written.</summary>
    public sealed record Denied(Journal.LimitDenial Denial) : AppendOutcome;
}

public abstract record PostOutcome
{
    public sealed record Posted : PostOutcome;

    /// <summary>An input with this id is there already.</summary>
    public sealed record Duplicate : PostOutcome;

    public sealed record NotFound : PostOutcome;

    public sealed record Ended(RunStatus Status) : PostOutcome;
}

/// <param name="Before">Cursor: only runs older than this one.</param>
public sealed record RunFilter(IReadOnlyList<RunStatus>? Statuses, string? Agent, RunId? Before, int Limit);
