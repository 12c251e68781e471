using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;

namespace Caisson.Core.Lifecycle;

/// <summary>One model call's view of its run: the key is chosen already, and what is recorded of it is at hand.</summary>
/// <param name="recorded">The record to answer from; without one the call is live.</param>
internal sealed class StepLog(RunSession session, StepKey key, string scope, Arrival? recorded) : IStepLog
{
    internal RunSession Session => session;

    /// <summary>The last call of a run that wraps up.</summary>
    internal bool Last { get; init; }

    public RunId Run => session.Run;

    public long Epoch => session.Epoch;

    public bool MaySend => session.MaySend;

    public CancellationToken Halting => session.Halting;

    public StepKey ModelStep(string identity) => key;

    public StepLookup Find(StepKey step, StepSubject subject)
    {
        if (recorded is null)
            return new StepLookup.NotRecorded(session.History.Attempts(step));
        var (record, drift) = StepJson.Match(recorded, new StepCall(step, subject, scope));
        return drift is not null ? new StepLookup.Drifted(drift) : new StepLookup.Recorded(record!);
    }

    public Task<BeginOutcome> BeginAsync(StepKey step, StepSubject subject, Hold? hold, CancellationToken cancellationToken) =>
        session.BeginAsync(new StepCall(step, subject, scope), hold, null, cancellationToken, Last);

    public Task ShowWaitAsync(OutsideWait? wait, CancellationToken cancellationToken) => session.ShowWaitAsync(wait, cancellationToken);

    public Task FailAttemptAsync(StepKey step, StepSubject subject, int attempt, Failure failure, HoldFate fate, DateTimeOffset? retryAt, CancellationToken cancellationToken) =>
        session.FailAttemptAsync(new StepCall(step, subject, scope), attempt, failure, fate, retryAt, cancellationToken);

    public Task CompleteAsync(StepKey step, StepSubject subject, StepResult result, CancellationToken cancellationToken) =>
        session.CompleteAsync(new StepCall(step, subject, scope), result);
}
