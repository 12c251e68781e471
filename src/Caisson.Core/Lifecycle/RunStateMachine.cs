using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>What the state machine knows of a run.</summary>
internal readonly record struct RunState(RunStatus Status, WaitReason Waiting = WaitReason.None, PauseCause Paused = PauseCause.None)
{
    public bool IsFinal => Status.IsFinal();
}

internal abstract record RunCommand
{
    /// <summary>A node took the run over. The store has journaled the claim itself.</summary>
    internal sealed record Claim : RunCommand;

    /// <param name="Until">When the owner goes on by itself; <c>null</c> to wait for an input.</param>
    internal sealed record Wait(WaitReason Reason, DateTimeOffset? Until) : RunCommand;

    /// <summary>The wait is over and the owner goes on.</summary>
    internal sealed record Proceed : RunCommand;

    /// <param name="Keep">The owner stays for a while, with a frozen box.</param>
    internal sealed record Pause(PauseCause Cause, string Detail, bool Keep = false) : RunCommand;

    internal sealed record Resume(string By) : RunCommand;

    internal sealed record RequestCancel(string By, string? Reason) : RunCommand;

    /// <summary>The run is over.</summary>
    internal abstract record End : RunCommand
    {
        /// <summary>What stays of its files, where that is not all.</summary>
        public EntryBody.WorkspaceKept? Kept { get; init; }
    }

    internal sealed record Complete(string Result) : End;

    internal sealed record Fail(Failure Failure) : End;

    /// <summary>The run's box is gone, nothing of it acts any more.</summary>
    /// <param name="Unconfirmed">Something of it would not go.</param>
    internal sealed record ConfirmCancel(bool Unconfirmed = false) : End;

    /// <summary>It only waits: the owner lets go until its time comes or an input does.</summary>
    internal sealed record Unload : RunCommand;

    /// <summary>The owner lets go in an orderly way; the next node goes on at once.</summary>
    internal sealed record Yield : RunCommand;
}

/// <summary>What a command makes of a state.</summary>
/// <param name="Writes">Journal entries that commit together with the new state.</param>
/// <param name="DueAt">When the run must be claimed if nobody owns it.</param>
/// <param name="Release">Whether the owner lets go.</param>
internal sealed record Transition(RunState State, IReadOnlyList<(EntryKind Kind, EntryBody Body)> Writes, RunDue DueAt, bool Release)
{
    /// <summary>The command did not fit and changed nothing.</summary>
    internal bool Ignored => Writes.Count == 0 && DueAt.Kind == DueKind.Unchanged && !Release;
}

internal enum DueKind
{
    Unchanged,
    Now,
    Never,
    At,
}

internal readonly record struct RunDue(DueKind Kind, DateTimeOffset At = default)
{
    internal static readonly RunDue Unchanged = new(DueKind.Unchanged);
    internal static readonly RunDue Now = new(DueKind.Now);
    internal static readonly RunDue Never = new(DueKind.Never);
}

/// <summary>
/// The whole life of a run. Pure: it changes nothing and reads no clock. A live run always has a reason to wake: an
/// owner, a due time, or a pause that somebody must end.
/// </summary>
internal static class RunStateMachine
{
    // A command that does not fit the state changes nothing: commands arrive late and more than once.
    internal static Transition Apply(RunState state, RunCommand command) => (state.Status, command) switch
    {
        (RunStatus.Completed or RunStatus.Failed or RunStatus.Cancelled, _) => Same(state),

        (RunStatus.Paused, RunCommand.Claim) => new(state, [], RunDue.Now, false),
        (_, RunCommand.Claim) => new(new(RunClaims.StatusAfter(state.Status)), [], RunDue.Now, false),

        (RunStatus.Running or RunStatus.Waiting, RunCommand.Wait w) =>
            new(new(RunStatus.Waiting, w.Reason), [], w.Until is { } until ? new(DueKind.At, until) : RunDue.Never, false),
        (RunStatus.Waiting, RunCommand.Unload) => new(state, [], RunDue.Unchanged, true),
        (RunStatus.Waiting, RunCommand.Proceed) => new(new(RunStatus.Running), [], RunDue.Now, false),

        (RunStatus.Running or RunStatus.Waiting, RunCommand.Pause p) =>
            new(new(RunStatus.Paused, Paused: p.Cause), [(EntryKind.Paused, new EntryBody.Paused(p.Cause, p.Detail))], RunDue.Never, !p.Keep),
        (RunStatus.Paused, RunCommand.Resume r) =>
            new(new(RunStatus.Running), [(EntryKind.Resumed, new EntryBody.Resumed(r.By))], RunDue.Now, false),

        (_, RunCommand.RequestCancel c) =>
            new(state, [(EntryKind.CancelRequested, new EntryBody.CancelRequested(c.By, c.Reason))], RunDue.Now, false),
        (_, RunCommand.ConfirmCancel c) => End(c, new(RunStatus.Cancelled, null, null, c.Unconfirmed)),

        (RunStatus.Running or RunStatus.Waiting, RunCommand.Complete c) => End(c, new(RunStatus.Completed, c.Result, null)),
        (RunStatus.Running or RunStatus.Waiting, RunCommand.Fail f) => End(f, new(RunStatus.Failed, null, f.Failure)),

        (RunStatus.Running or RunStatus.Waiting, RunCommand.Yield) => new(new(RunStatus.Ready), [], RunDue.Now, true),
        (RunStatus.Paused, RunCommand.Yield) => new(state, [], RunDue.Never, true),

        _ => Same(state),
    };

    private static Transition Same(RunState state) => new(state, [], RunDue.Unchanged, false);

    private static Transition End(RunCommand.End command, EntryBody.RunEnded end) => new(
        new(end.Status),
        command.Kept is { } kept ? [(EntryKind.WorkspaceKept, kept), (EntryKind.RunEnded, end)] : [(EntryKind.RunEnded, end)],
        RunDue.Never,
        true);
}
