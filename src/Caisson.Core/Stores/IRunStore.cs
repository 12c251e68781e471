using Caisson.Contracts;
using Caisson.Core.Budgets;

namespace Caisson.Core.Stores;

/// <summary>
/// The truth about runs. Each call is one atomic, durable unit: all of it or nothing, on stable storage when the task
/// completes. Many units may share one commit, and the outcome of one never depends on another's.
/// Expected answers are outcomes; an exception means that the outcome is unknown, and the embedded store ends the
/// process then, because only recovery can tell.
/// </summary>
public interface IRunStore
{
    /// <summary>Puts a run into the store, ready to be claimed. The idempotency key is unique as long as its run is kept. A run that is there already, by its id, is answered like one with the same key.</summary>
    Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken);

    /// <summary>
    /// One compare-and-swap: takes a due run that nobody alive owns, raises its epoch, journals <c>EpochClaimed</c>,
    /// and turns every hold of former epochs into money spent in doubt. A run that needs a newer engine is not claimable.
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

    /// <summary>The run that an idempotency key made, with the hash of its request; <c>null</c> where the key is free.</summary>
    Task<KeyedRun?> FindByKeyAsync(string key, CancellationToken cancellationToken);

    /// <summary>In order of <c>seq</c>.</summary>
    Task<IReadOnlyList<Journal.JournalEntry>> ReadJournalAsync(RunId run, long afterSeq, int limit, CancellationToken cancellationToken);

    /// <summary>Inputs not consumed yet, in order of arrival.</summary>
    Task<IReadOnlyList<InboxInput>> ReadInboxAsync(RunId run, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Runs that <paramref name="node"/> could claim now, in the order in which it should. First those of dead owners: at
    /// work before waiting, with a model call under way before others. Then those that are due and unowned: three
    /// quarters of the places (<see cref="ClaimOrder"/>) for children, the deepest first, the rest by due time. Within each
    /// of these a tenant's second run comes only after every tenant's first. Those that this engine cannot read are left out.
    /// </summary>
    Task<IReadOnlyList<RunId>> FindClaimableAsync(NodeId node, int limit, CancellationToken cancellationToken);

    /// <summary>Those of them that have a parent, in the same order: for places that are kept for children.</summary>
    Task<IReadOnlyList<RunId>> FindClaimableChildrenAsync(NodeId node, int limit, CancellationToken cancellationToken);

    /// <summary>When the next unowned run comes due, or <c>null</c>.</summary>
    Task<DateTimeOffset?> NextDueAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Runs under suspicion of crashing servers that are ready or running, at most <paramref name="limit"/>, most suspected
    /// first. One that waits or is paused came as far without a crash: others must not wait for it.
    /// </summary>
    Task<IReadOnlyList<(RunId Run, int Suspicion)>> ListSuspectsAsync(int limit, CancellationToken cancellationToken);

    /// <summary>Live runs that the store says this node owns, and whether inputs wait for each.</summary>
    Task<IReadOnlyList<OwnedRun>> ListOwnedAsync(NodeId node, CancellationToken cancellationToken);
}

/// <param name="RequestHash">See <see cref="NewRun"/>.</param>
public sealed record KeyedRun(RunId Run, string RequestHash);

/// <summary>Ledgers: what each node of the budget tree may spend and has spent.</summary>
public interface IBudgetStore
{
    /// <summary>The rows of a node (<c>tenant:NAME</c> or <c>run:ID</c>); none for a node that nobody has named yet.</summary>
    Task<IReadOnlyList<BudgetRow>> ReadBudgetAsync(string node, CancellationToken cancellationToken);

    /// <summary>
    /// Sets or lifts a cap of a node above runs, or of a run that has ended, whose forks draw on it. A live run's caps go
    /// through its inbox, so that its journal has them: here they are refused with <c>run_conflict</c>.
    /// </summary>
    Task SetCapAsync(string node, LimitDimension dimension, long? cap, CancellationToken cancellationToken);

    /// <summary>Holds that ended in doubt, oldest first.</summary>
    Task<IReadOnlyList<WasteRow>> ReadWasteAsync(RunId run, int limit, CancellationToken cancellationToken);
}

/// <summary>Schedules and their cursors.</summary>
public interface IScheduleStore
{
    /// <summary>
    /// Adds a schedule or replaces it under a new generation. <see cref="ScheduleRecord.Next"/> is the caller's.
    /// <c>null</c> where it does not stand any more as <see cref="NewSchedule.Stands"/> says: nothing happened.
    /// </summary>
    Task<ScheduleRecord?> PutScheduleAsync(NewSchedule schedule, CancellationToken cancellationToken);

    Task<bool> RemoveScheduleAsync(string name, CancellationToken cancellationToken);

    Task<IReadOnlyList<ScheduleRecord>> ListSchedulesAsync(CancellationToken cancellationToken);

    /// <summary>Those whose next time has come and that are not paused, earliest first.</summary>
    Task<IReadOnlyList<ScheduleRecord>> FindDueSchedulesAsync(DateTimeOffset now, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Moves the cursor and creates the run in one transaction, only if the schedule still stands where
    /// <paramref name="fire"/> found it: of two that try, one gets <c>false</c> and nothing happened.
    /// </summary>
    Task<bool> FireAsync(ScheduleFire fire, CancellationToken cancellationToken);
}

/// <summary>Runs that ended while something of them may still have acted (<see cref="RunSummary.Unconfirmed"/>).</summary>
public interface IUnconfirmedEnds
{
    /// <summary>Oldest first.</summary>
    Task<IReadOnlyList<RunId>> FindUnconfirmedAsync(int limit, CancellationToken cancellationToken);

    /// <summary>Nothing of it acts any more: the row says so, the journal stays as it ended. <c>false</c> where there is nothing to confirm.</summary>
    Task<bool> ConfirmEndAsync(RunId run, CancellationToken cancellationToken);
}

public static class UnconfirmedEnds
{
    /// <summary>The detail of an end that was confirmed afterwards.</summary>
    public const string Later = "cancelled; its box was confirmed gone later";
}

/// <summary>The kill switch: one value, so that all of it is read and replaced at once.</summary>
public interface IKillSwitchStore
{
    /// <summary>What was written last; empty where nothing ever was.</summary>
    Task<ReadOnlyMemory<byte>> ReadKillSwitchAsync(CancellationToken cancellationToken);

    /// <summary>Puts a value in place of the one that the caller has read. <c>false</c> where another stands there by now: nothing happened.</summary>
    Task<bool> ReplaceKillSwitchAsync(ReadOnlyMemory<byte> read, ReadOnlyMemory<byte> value, CancellationToken cancellationToken);
}

/// <summary>Saved workspaces that somebody wants to keep: each root is referred to until its snapshot is removed.</summary>
public interface ISnapshotStore
{
    Task AddSnapshotAsync(SnapshotRecord snapshot, CancellationToken cancellationToken);

    /// <summary><c>false</c> where there is none of this id.</summary>
    Task<bool> RemoveSnapshotAsync(string id, CancellationToken cancellationToken);

    /// <summary>Oldest first.</summary>
    Task<IReadOnlyList<SnapshotRecord>> ListSnapshotsAsync(CancellationToken cancellationToken);
}

/// <param name="Root">Of the saved workspace.</param>
/// <param name="Run">Whose box it was; <c>null</c> where it was nobody's.</param>
/// <param name="Seq">Where that run's journal stood.</param>
public sealed record SnapshotRecord(string Id, string Root, string Box, RunId? Run, long Seq, DateTimeOffset At);

/// <summary>What retention and verification need.</summary>
public interface IRetentionStore
{
    /// <summary>Ended runs whose end is older than <paramref name="before"/> and that no live fork needs, oldest first.</summary>
    Task<IReadOnlyList<RunId>> FindEndedAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken);

    /// <summary>
    /// Removes an ended run with its journal, inbox, budget rows and waste, in one transaction. <c>false</c> where it
    /// lives or is gone, or where a live fork of it needs its records and draws on its budget.
    /// </summary>
    Task<bool> DeleteRunAsync(RunId run, CancellationToken cancellationToken);

    /// <summary>Every blob address and workspace root that any journal, row or snapshot refers to, in pages of at most 1,000 by ascending position.</summary>
    IAsyncEnumerable<BlobReference> ReadReferencesAsync(CancellationToken cancellationToken);
}

public sealed record BudgetRow(string Node, LimitDimension Dimension, BudgetState State);

public sealed record WasteRow(RunId Run, string StepKey, long Epoch, long NanoUsd, long Tokens, string Cause, DateTimeOffset At);

/// <param name="IsTree">Whether it is the root of a saved workspace, whose blobs name further ones.</param>
public sealed record BlobReference(string Address, bool IsTree);

/// <param name="Definition">JSON of the schedule as the caller wrote it; the store does not read it.</param>
/// <param name="Next">The next nominal time, or <c>null</c> when there is none.</param>
public sealed record NewSchedule(string Name, Guid Uid, ReadOnlyMemory<byte> Definition, DateTimeOffset At, DateTimeOffset? Next, bool Paused)
{
    /// <summary>Where the caller found it; <c>null</c> to replace it wherever it stands. Without it a time that fires meanwhile could come again.</summary>
    public ScheduleStand? Stands { get; init; }
}

/// <param name="Generation">0 for a schedule that is not there.</param>
public sealed record ScheduleStand(long Generation, DateTimeOffset? Next);

/// <param name="Generation">Rises with every replacement, so that the runs of an old definition are not taken for the new one's.</param>
/// <param name="LastRun">The run of the last nominal time that started one.</param>
public sealed record ScheduleRecord(
    string Name, Guid Uid, long Generation, ReadOnlyMemory<byte> Definition, DateTimeOffset CreatedAt, DateTimeOffset? Next, bool Paused, RunId? LastRun, DateTimeOffset? LastAt);

/// <param name="From">The <c>Next</c> that the decision was made on.</param>
/// <param name="To">The cursor after it.</param>
/// <param name="Run">The run to create, or <c>null</c> where the time is skipped. Its idempotency key is the hash of uid, generation and nominal time.</param>
/// <param name="Posts">Cancels of the runs that it replaces.</param>
public sealed record ScheduleFire(string Name, long Generation, DateTimeOffset From, DateTimeOffset? To, NewRun? Run, IReadOnlyList<NewInput> Posts);

/// <summary>Leases of server processes.</summary>
public interface INodeStore
{
    /// <summary>Adds this process. An embedded store, which only one process can hold open, marks all others dead.</summary>
    /// <remarks>A node that was neither retired nor dead before, of the same boot, has crashed: each run that it owned and that was running gets one more <c>Suspicion</c>, and if it was the only one, one more <c>LoneCrashes</c>. A run's next completed step clears both.</remarks>
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
    long? TokensCap)
{
    public string Tenant { get; init; } = BudgetNodes.DefaultTenant;

    /// <summary>The run that spawned it. The budget path is the parent's with this run at its end.</summary>
    public RunId? Parent { get; init; }
    public int Depth { get; init; }

    /// <summary>The least <see cref="EngineVersion.Level"/> that can read its journal. A claim raises it to the claimer's.</summary>
    public int MinEngine { get; init; } = EngineVersion.Level;

    /// <summary>The run that it was forked from: kept as long as this one lives. A fork without a parent draws on the budget of its origin's root.</summary>
    public RunId? Origin { get; init; }

    /// <summary>Caps of the run's own node on what is counted (steps, calls, children) or split (input and output tokens): descendants count on them too.</summary>
    public IReadOnlyDictionary<LimitDimension, long> Caps { get; init; } = new Dictionary<LimitDimension, long>();

    /// <summary>More entries that begin the journal, after <see cref="Created"/>: a fork brings what it goes on from.</summary>
    public IReadOnlyList<Journal.JournalDraft> More { get; init; } = [];

    /// <summary>When it first comes due; <c>null</c> for at once.</summary>
    public DateTimeOffset? DueAt { get; init; }
}

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
