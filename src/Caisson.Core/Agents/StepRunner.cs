using Caisson.Contracts;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

/// <summary>What one execution of a step came to.</summary>
internal abstract record StepAttempt
{
    /// <param name="Failure">A failure that is the step's result: it is recorded and answered like any other.</param>
    internal sealed record Done(ReadOnlyMemory<byte> Result, Failure? Failure = null, string? WorkspaceRoot = null) : StepAttempt;

    /// <summary>Nothing to record; the same step may be tried again.</summary>
    internal sealed record Failed(Failure Failure) : StepAttempt
    {
        /// <summary>Whatever the policy says, it is not tried again: the run pauses.</summary>
        internal bool Last { get; init; }
    }

    /// <summary>It was under way when it failed, and must not be repeated: nobody knows whether it took effect.</summary>
    internal sealed record Doubtful(string Problem) : StepAttempt;
}

/// <summary>The one way in which tools and named steps execute: admit, try, try again, record.</summary>
internal sealed class StepRunner(RunSession session, RunServices services, Func<double> dice)
{
    /// <summary>
    /// A tool's step. It may be repeated at will, unless something has left its box: then it is one that must not be
    /// repeated, and how it came out is decided as for any other of those.
    /// </summary>
    internal async Task ExecuteToolAsync(StepCall call, RetrySettings retry, Func<StepContext, Task<StepAttempt>> body)
    {
        var step = new NamedStep<ToolResult>(call.Subject.Name, _ => throw new InvalidOperationException("a tool has a body of its own"), new StepOptions<ToolResult> { Effect = EffectClass.AtMostOnce });
        if (session.History.StartOf(call.Key.Hash) is { } interrupted && await new UnknownStep<ToolResult>(session, call, step).DecideAsync(interrupted, null) == UnknownEnd.Resolved)
            return;
        for (var doubts = 1; ; doubts++)
        {
            if (await ExecuteAsync(call, null, retry, (attempt, cancellation) => body(Context(call, attempt, cancellation))) is not { } doubtful)
                return;
            if (await new UnknownStep<ToolResult>(session, call, step).DecideAsync(session.History.StartOf(call.Key.Hash)!, doubtful.Problem) == UnknownEnd.Resolved)
                return;
            if (doubts >= retry.Attempts)
                throw new RunHaltException(new RunHalt.Exhausted(new Failure(ErrorCodes.RetryExhausted, doubtful.Problem)));
        }
    }

    /// <summary>A program that keeps its own steps: it may begin again at will, since what it did is answered from the journal. Also what sent something, unlike a tool's command: it finds its own way back, as by a database.</summary>
    internal async Task ExecuteProcessAsync(StepCall call, RetrySettings retry, Func<StepContext, Task<StepAttempt>> body) =>
        await ExecuteAsync(call, EffectClass.Idempotent, retry, (attempt, cancellation) => body(Context(call, attempt, cancellation)));

    /// <param name="giveUp">Ends a wait between two attempts: whoever would make the next one is gone.</param>
    internal async Task ExecuteAsync<T>(StepCall call, NamedStep<T> step, CancellationToken giveUp = default)
    {
        var effectful = step.Options.Effect is EffectClass.AtMostOnce or EffectClass.Compensable;
        if (effectful)
        {
            var answer = await ForkRecords.AnswerAsync(session, services, call);
            if (answer is ForkAnswer.Given given)
            {
                await session.CompleteAsync(call, given.Result);
                return;
            }

            var interrupted = session.History.StartOf(call.Key.Hash) ?? (answer is ForkAnswer.Open ? new OpenStart(0, call.Subject, step.Options.Effect, 1, Unknown: false) : null);
            if (interrupted is not null && await new UnknownStep<T>(session, call, step).DecideAsync(interrupted, (answer as ForkAnswer.Open)?.Problem) == UnknownEnd.Resolved)
                return;
        }

        var retry = step.Options.Retry ?? session.Manifest.Retry;
        for (var doubts = 1; ; doubts++)
        {
            if (await ExecuteAsync(call, step.Options.Effect, retry, (attempt, cancellation) => step.AttemptAsync(Context(call, attempt, cancellation)), giveUp) is not { } doubtful)
                return;
            if (await new UnknownStep<T>(session, call, step).DecideAsync(session.History.StartOf(call.Key.Hash)!, doubtful.Problem) == UnknownEnd.Resolved)
                return;
            if (doubts >= retry.Attempts)
                throw new RunHaltException(new RunHalt.Exhausted(new Failure(ErrorCodes.RetryExhausted, doubtful.Problem)));
        }
    }

    private async Task<StepAttempt.Doubtful?> ExecuteAsync(StepCall call, EffectClass? effect, RetrySettings retry, Func<int, CancellationToken, Task<StepAttempt>> body, CancellationToken giveUp = default)
    {
        var prior = session.History.Attempts(call.Key);
        var first = services.Clock.GetUtcNow();
        for (var attempt = 1; ; attempt++)
        {
            // Each attempt of a step that must not be repeated journals its own start.
            if ((attempt == 1 || effect is EffectClass.AtMostOnce or EffectClass.Compensable) && await session.BeginAsync(call, null, effect, session.Owned) is BeginOutcome.Denied denied)
                throw new RunHaltException(new RunHalt.AtLimit(denied.Denial));
            var started = services.Clock.GetUtcNow();
            switch (await AttemptAsync(prior + attempt, body))
            {
                case StepAttempt.Done done:
                    await session.CompleteAsync(call, new StepResult(done.Result, Usage.None, prior + attempt, started, done.Failure, done.WorkspaceRoot));
                    return null;
                case StepAttempt.Doubtful doubtful:
                    return doubtful;
                case StepAttempt.Failed failed when session.History.StartOf(call.Key.Hash) is not null && effect is null:
                    return new StepAttempt.Doubtful($"step '{call.Subject.Name}' failed after something had left its box: {failed.Failure.Message}");
                case StepAttempt.Failed failed:
                    var wait = failed is { Last: false, Failure.Retryable: true } ? RetryPolicy.Next(retry, attempt, attempt, services.Clock.GetUtcNow() - first, null, dice()) : null;
                    await session.FailAttemptAsync(call, prior + attempt, failed.Failure, HoldFate.Release, services.Clock.GetUtcNow() + wait, session.Owned);
                    if (wait is not { } delay)
                        throw new RunHaltException(failed.Failure.Retryable ? new RunHalt.Exhausted(failed.Failure) : new RunHalt.Failed(failed.Failure));
                    using (var waits = CancellationTokenSource.CreateLinkedTokenSource(session.Halting, giveUp))
                        await services.Tasks.DelayAsync(delay, services.Clock, waits.Token);
                    break;
            }
        }
    }

    private async Task<StepAttempt> AttemptAsync(int attempt, Func<int, CancellationToken, Task<StepAttempt>> body)
    {
        try
        {
            await session.WaitForLeaveAsync();
            return await body(attempt, session.Interrupted);
        }
        catch (CaissonException problem)
        {
            return new StepAttempt.Failed(problem.ToFailure());
        }
    }

    private StepContext Context(StepCall call, int attempt, CancellationToken cancellation) =>
        new($"{session.Run}.{call.Key.Hash}", attempt, session.Epoch, cancellation);
}

/// <summary>The author's part of a named step.</summary>
internal sealed record NamedStep<T>(string Name, Func<StepContext, Task<T>> Body, StepOptions<T> Options)
{
    internal async Task<StepAttempt> AttemptAsync(StepContext context)
    {
        try
        {
            var result = StepJson.Write(await Body(context));
            return result.Length <= StepJson.MaxResultBytes
                ? new StepAttempt.Done(result)
                : new StepAttempt.Done(default, new Failure(ErrorCodes.PayloadTooLarge, $"step '{Name}': its result has {result.Length} bytes, at most {StepJson.MaxResultBytes} are allowed: write it to a file or a store, and return its address"));
        }
        catch (StepFailedException known)
        {
            // The author says what happened: nothing that may be tried again, or a failure that is the step's result.
            return known.Failure.Retryable ? new StepAttempt.Failed(known.Failure) : new StepAttempt.Done(default, known.Failure);
        }
        catch (StepBrokenException broken)
        {
            return Effectful ? new StepAttempt.Doubtful(broken.Failure.Message) : new StepAttempt.Failed(broken.Failure) { Last = broken.Last };
        }
        catch (Exception problem) when (problem is not CaissonException && !(problem is OperationCanceledException && context.Cancellation.IsCancellationRequested && !Effectful))
        {
            // A failure of the author's code is data: it is journaled, and the step is tried again where that is safe.
            var text = $"step '{Name}' failed: {problem.GetType().Name}: {problem.Message}";
            return Effectful ? new StepAttempt.Doubtful(text) : new StepAttempt.Failed(new Failure(ErrorCodes.Internal, text, Retryable: true));
        }
    }

    private bool Effectful => Options.Effect is EffectClass.AtMostOnce or EffectClass.Compensable;
}

/// <summary>An attempt of a program's step broke in the middle: nobody says whether it took effect.</summary>
/// <param name="last">Nobody is there to try it again.</param>
internal sealed class StepBrokenException(Failure failure, bool last) : Exception(failure.Message)
{
    internal Failure Failure => failure;

    internal bool Last => last;
}
