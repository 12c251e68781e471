using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>Writes down why a run halts: the pause, the end, or the hand-over that follows from it.</summary>
internal sealed class Halts(RunSession session, RunBox box, RunServices services)
{
    /// <summary>Who pauses the runs of a database that was put back to an earlier state.</summary>
    internal const string RestoreName = "restore";

    /// <summary>Begins the detail of a pause by the kill switch, so that those who lift it find the runs.</summary>
    internal const string KillName = "kill switch: ";

    internal Task WriteAsync(RunHalt halt) => halt switch
    {
        // A cancel was journaled: whatever else came out at the same moment, the run ends as cancelled.
        _ when session.Stop is { Kind: StopKind.Cancel } cancel => StopAsync(cancel),
        RunHalt.Requested when session.Stop is { } stop => StopAsync(stop),
        RunHalt.AtLimit at when session.InForce(at.Denial) => LimitAsync(at.Denial),
        RunHalt.Killed killed => PauseAsync(PauseCause.Operator, KillName + "a child cannot start: " + killed.Failure.Message),
        RunHalt.Exhausted exhausted => PauseAsync(PauseCause.RetryExhausted, exhausted.Failure.Message),
        RunHalt.Failed failed => FailAsync(failed.Failure),
        RunHalt.Unknown unknown => PauseAsync(PauseCause.Unknown, unknown.Step),
        RunHalt.Poisoned poisoned => PauseAsync(PauseCause.Poison, $"the server died {poisoned.Crashes} times while this run alone was at work: caisson bundle {session.Run}, then retry or cancel it"),
        RunHalt.OtherVersion other => PauseAsync(PauseCause.Version, $"build {other.To} of the agent takes another way than the journal of build {other.From}: {Text(other.Report)}",
            new EntryDraft(EntryKind.Drift, new EntryBody.Drift(other.Report))),
        RunHalt.Drifted drifted when session.Manifest.OnDrift == DriftPolicy.Live && session.History.EffectsFrom(drifted.Report.Seq).Count == 0 =>
            session.JournalAsync([new EntryDraft(EntryKind.Drift, new EntryBody.Drift(drifted.Report, WentLive: true))], null),
        RunHalt.Drifted drifted => DriftAsync(drifted.Report),
        RunHalt.Looping looping => LoopAsync(looping.Verdict),

        // The reason went away while the turn ended (a pause taken back, a limit raised): somebody goes on at once.
        _ => session.ApplyAsync(new RunCommand.Yield(), s => s, [], []),
    };

    private async Task StopAsync(StopRequest stop)
    {
        switch (stop.Kind)
        {
            case StopKind.Pause:
                var detail = $"paused by {stop.By}{(stop.Reason is null ? "" : ": " + stop.Reason)}";
                var cause = stop.By == RestoreName ? PauseCause.Restored : PauseCause.Operator;
                await session.ApplyAsync(new RunCommand.Pause(cause, detail, box.IsOpen), s => s with { Detail = detail }, [], stop.Input is { } input ? [input] : []);
                break;
            case StopKind.Kill:
                // Lifting the order resumes nothing by itself: somebody looks first at what was worth a kill switch.
                await box.CloseAsync();
                await session.ApplyAsync(new RunCommand.Pause(PauseCause.Operator, KillName + stop.Reason), s => s with { Detail = KillName + stop.Reason }, [], []);
                break;
            case StopKind.Deadline when (session.Limits.DeadlineDenial(services.Clock.GetUtcNow()) ?? session.NoProgressDenial(services.Clock.GetUtcNow())) is { } denial:
                await LimitAsync(denial);
                break;
            case StopKind.Cancel:
                // Cancelled means that nothing of the run acts any more: first the box, then the word.
                var confirmed = await box.CloseAsync() && !services.Reaping.IsLeft(session.Run);
                await session.ApplyAsync(new RunCommand.ConfirmCancel(!confirmed), s => s with { Detail = confirmed ? stop.Reason : "cancelled, but its box is not confirmed gone: the reaper goes on", Unconfirmed = !confirmed }, [], []);
                break;
            default:
                await session.ApplyAsync(new RunCommand.Yield(), s => s, [], []);
                break;
        }
    }

    private Task LimitAsync(LimitDenial denial)
    {
        var hit = new EntryDraft(EntryKind.LimitHit, EntryBody.LimitHit.Of(denial));
        var answer = LimitDecision.Of(session.Manifest.Limits.OnLimit, denial, BudgetNodes.Of(session.Run), wrappedUp: true);
        if (answer == LimitAnswer.Stop)
            return FailAsync(new Failure(denial.Dimension == LimitDimension.Deadline ? ErrorCodes.DeadlineExceeded : ErrorCodes.BudgetExceeded, denial.Text()), hit);
        return session.ApplyAsync(new RunCommand.Pause(PauseCause.Budget, denial.Text(), box.IsOpen), s => s with
        {
            Detail = denial.Text(),
            LimitAt = denial.Dimension,
            LimitAbove = denial.Node == BudgetNodes.Of(session.Run) ? null : denial.Node,
            LimitNeeds = denial.Dimension.IsTime() ? null : denial.Spent + denial.Held + denial.Wanted,
        }, answer == LimitAnswer.Ask ? [hit, Question(denial)] : [hit], []);
    }

    /// <summary>A yes raises the limit and resumes the run; a no leaves it paused.</summary>
    private EntryDraft Question(LimitDenial denial) => new(EntryKind.ApprovalRequested,
        new EntryBody.ApprovalRequested(LimitQuestion.Text(denial, session.Manifest.Limits), session.History.Created!.ManifestHash, null, Approvers: 1))
    {
        Key = Slots.LimitPrefix + StepHash.Of("limit", Words.Of(denial.Dimension), denial.Cap.ToString(System.Globalization.CultureInfo.InvariantCulture), session.History.LastSeq.ToString(System.Globalization.CultureInfo.InvariantCulture)),
    };

    private Task LoopAsync(Loops.LoopVerdict verdict)
    {
        var text = verdict.Text();
        var suspected = new EntryDraft(EntryKind.LoopSuspected, new EntryBody.LoopSuspected(verdict.Signal, verdict.Tool, verdict.Count, verdict.Period, Acted: true));
        return session.Manifest.LoopGuard.OnLoop == LoopPolicy.Stop
            ? FailAsync(new Failure(ErrorCodes.LoopDetected, text), suspected)
            : PauseAsync(PauseCause.Loop, text, suspected);
    }

    private Task DriftAsync(DriftReport report) => PauseAsync(PauseCause.Drift, Text(report) + Effects(report), new EntryDraft(EntryKind.Drift, new EntryBody.Drift(report)));

    private string Effects(DriftReport report) => session.History.EffectsFrom(report.Seq) is { Count: > 0 } effects
        ? $"; recorded after it and not to be repeated: entries {string.Join(", ", effects)}"
        : "";

    private static string Text(DriftReport report) => $"the agent asks for {report.Asked} where entry {report.Seq} has {report.Recorded}";

    private Task PauseAsync(PauseCause cause, string detail, params IReadOnlyList<EntryDraft> before) =>
        session.ApplyAsync(new RunCommand.Pause(cause, detail, box.IsOpen), s => s with { Detail = detail }, before, []);

    private Task FailAsync(Failure failure, params IReadOnlyList<EntryDraft> before) =>
        session.ApplyAsync(new RunCommand.Fail(failure), s => s with { Failure = failure, Detail = failure.Message }, before, []);
}
