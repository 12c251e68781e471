using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;

namespace Caisson.Simulation.Tests.Checks;

/// <summary>
/// After a while in which nothing went wrong and nobody said anything: each run has ended, stands paused with a cause
/// that somebody can end, or waits for what has not come.
/// </summary>
internal static class StuckCheck
{
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(30);

    private static readonly PauseCause[] Stated = [PauseCause.Operator, PauseCause.RetryExhausted, PauseCause.Budget, PauseCause.Unknown];

    internal static (string, string)? Quiet(MemoryState state, DateTimeOffset now)
    {
        foreach (var run in state.Runs.Values)
        {
            if (!run.Record.Status.IsFinal() && Problem(state, run, now) is { } problem)
                return ("I5", $"run {run.Id} is {run.Record.Status} {run.Record.Waiting} {run.Record.Paused}, {(run.Record.Owner is null ? "unowned" : "owned")}, due {run.Record.DueAt:HH:mm:ss.fff} at {now:HH:mm:ss.fff}: {problem}");
        }

        return null;
    }

    private static string? Problem(MemoryState state, MemoryRun run, DateTimeOffset now) => run.Record switch
    {
        _ when !run.Inbox.IsEmpty => $"{run.Inbox[0].Kind} {run.Inbox[0].InputId} is not taken over",
        { Status: RunStatus.Paused, Summary.Detail: null } => "it does not say why",
        { Status: RunStatus.Paused } => Stated.Contains(run.Record.Paused) ? null : run.Record.Summary.Detail,
        _ when run.Journal.Exists(e => e.Entry.Kind == EntryKind.CancelRequested) => "it was to be cancelled",
        { Status: RunStatus.Waiting, DueAt: { } due } => due < now - Slack ? "its time is over" : null,
        { Status: RunStatus.Waiting, Waiting: WaitReason.Child } => Ended(state, run),
        { Status: RunStatus.Waiting, Waiting: WaitReason.Signal or WaitReason.Approval } => null,
        _ => "nothing happens",
    };

    private static string? Ended(MemoryState state, MemoryRun run)
    {
        var heard = run.Journal.Where(e => e.Entry.Kind == EntryKind.ChildEnded).Select(e => JournalJson.Read<EntryBody.ChildEnded>(e.Entry.Body).Child).ToHashSet();
        foreach (var child in run.Journal.Where(e => e.Entry.Kind == EntryKind.ChildSpawned).Select(e => JournalJson.Read<EntryBody.ChildSpawned>(e.Entry.Body).Child))
        {
            if (!heard.Contains(child) && state.Find(RunId.Parse(child))!.Record.Status.IsFinal())
                return $"its child {child} has ended, and it was not told";
        }

        return null;
    }
}
