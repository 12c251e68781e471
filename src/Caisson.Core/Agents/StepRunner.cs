using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Agents;

/// <summary>What one execution of a step came to.</summary>
internal abstract record StepAttempt
{
    /// <param name="Failure">A failure that is the step's result: it is recorded and answered like any other.</param>
    internal sealed record Done(ReadOnlyMemory<byte> Result, Failure? Failure = null, string? WorkspaceRoot = null) : StepAttempt;

    /// <summary>Nothing to record; the same step may be tried again.</summary>
    internal sealed record Failed(Failure Failure) : StepAttempt;
}

/// <param name="Recorded">Answered from the journal.</param>
internal sealed record StepAnswer(ReadOnlyMemory<byte> Result, Failure? Failure, bool Recorded, long Seq, string? WorkspaceRoot);

/// <summary>The one way in which tools and named steps run: answer from the journal, or admit, execute, retry and record.</summary>
internal sealed class StepRunner(RunSession session, TimeProvider clock, Func<double> dice)
{
    internal async Task<StepAnswer> RunAsync(StepKey key, StepSubject subject, Func<CancellationToken, Task<StepAttempt>> body)
    {
        var prior = 0;
        switch (session.Find(key, subject))
        {
            case StepLookup.Recorded recorded:
                return new StepAnswer(recorded.Record.Result, recorded.Record.Failure, Recorded: true, recorded.Record.Seq, recorded.Record.WorkspaceRoot);
            case StepLookup.Drifted drifted:
                throw new RunHaltException(new RunHalt.Drifted(drifted.Report));
            case StepLookup.NotRecorded fresh:
                prior = fresh.PriorAttempts;
                break;
        }

        if (await session.BeginAsync(key, subject, null, session.Owned) is BeginOutcome.Denied denied)
            throw new RunHaltException(new RunHalt.AtLimit(denied.Denial));
        var first = clock.GetUtcNow();
        for (var attempt = 1; ; attempt++)
        {
            var started = clock.GetUtcNow();
            switch (await AttemptAsync(body))
            {
                case StepAttempt.Done done:
                    await session.CompleteAsync(key, subject, new StepResult(done.Result, Usage.None, prior + attempt, started, done.Failure, done.WorkspaceRoot), session.Owned);
                    return new StepAnswer(done.Result, done.Failure, Recorded: false, 0, done.WorkspaceRoot);
                case StepAttempt.Failed failed:
                    var wait = failed.Failure.Retryable ? RetryPolicy.Next(session.Manifest.Retry, attempt, attempt, clock.GetUtcNow() - first, null, dice()) : null;
                    await session.FailAttemptAsync(key, subject, prior + attempt, failed.Failure, HoldFate.Release, clock.GetUtcNow() + wait, session.Owned);
                    if (wait is not { } delay)
                        throw new RunHaltException(failed.Failure.Retryable ? new RunHalt.Exhausted(failed.Failure) : new RunHalt.Failed(failed.Failure));
                    await Task.Delay(delay, clock, session.Halting);
                    break;
            }
        }
    }

    private async Task<StepAttempt> AttemptAsync(Func<CancellationToken, Task<StepAttempt>> body)
    {
        try
        {
            return await body(session.Interrupted);
        }
        catch (CaissonException problem)
        {
            return new StepAttempt.Failed(problem.ToFailure());
        }
    }
}
