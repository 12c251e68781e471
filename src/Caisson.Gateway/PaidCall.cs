using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Microsoft.Extensions.Logging;

namespace Caisson.Gateway;

/// <param name="Result">As the journal keeps it.</param>
internal readonly record struct PaidResult(ReadOnlyMemory<byte> Result, TokenUsage Usage);

/// <summary>
/// One call that is not in the journal yet, through all its attempts: steps 4 to 7 of <see cref="ModelCallPipeline"/>,
/// whoever asked and on whichever wire.
/// </summary>
/// <param name="ways">The provider that was asked for, then those that stand in for it while it cannot answer and nobody has seen any of it.</param>
/// <param name="size">What is held for it, whoever answers; <c>null</c>: it costs nothing.</param>
internal sealed class PaidCall(
    ModelCallPipeline pipeline,
    RetrySettings retry,
    IReadOnlyList<Way> ways,
    CallSize? size,
    StepKey key,
    StepSubject subject,
    IStepLog log)
{
    private static readonly TimeSpan LeaseLook = TimeSpan.FromMilliseconds(50);

    private CallSize? _fitted;

    /// <returns>What kept it from being answered; <c>null</c> once its answer is recorded.</returns>
    public async Task<ModelOutcome?> BuyAsync(int priorAttempts, CancellationToken cancellationToken)
    {
        // The policy's attempts and time are those of this drive: a run that was paused and resumed starts afresh,
        // while the journaled number goes on.
        var began = pipeline.Time.GetTimestamp();
        var (failures, held) = (0, false);
        var (at, turned, tried, counted) = (0, began, 0, 0);
        while (true)
        {
            var (way, isLast) = (ways[at], at == ways.Count - 1);
            var share = way.Share(retry, isLast);
            TimeSpan Elapsed() => pipeline.Time.GetElapsedTime(isLast ? began : turned);

            // 4.
            if (!held && await ReserveAsync(cancellationToken) is { } denial)
                return new ModelOutcome.LimitReached(denial);
            held = true;

            // 5.
            var attempt = priorAttempts + failures + 1;
            var (startedAt, reply, paid) = await AttemptAsync(way, attempt, share.Elapsed - Elapsed(), cancellationToken);
            if (reply is UpstreamReply.Done)
            {
                // 6.
                var tokens = paid.Usage;
                var price = size is null ? null : way.To.Price;
                var usage = new Usage(price?.Cost(tokens) ?? 0, tokens.Input, tokens.Output, tokens.Cached, tokens.Estimated) { Prices = price?.Origin?.Digest, AnsweredBy = at == 0 ? null : way.Name };
                await log.CompleteAsync(key, subject, new StepResult(paid.Result, usage, attempt, startedAt), cancellationToken);
                return null;
            }

            if (reply is not UpstreamReply.Failed failed)
                continue;

            // 7.
            (failures, tried) = (failures + 1, tried + 1);
            counted += failed.Retry == RetryClass.Counted ? 1 : 0;
            var wait = failed.Retry == RetryClass.Never ? null : RetryPolicy.Next(share, tried, counted, Elapsed(), failed.RetryAfter, pipeline.Dice());
            if (wait is null && failed.Retry != RetryClass.Never && !isLast)
            {
                (at, turned, tried, counted) = (at + 1, pipeline.Time.GetTimestamp(), 0, 0);
                wait = TimeSpan.Zero;
            }

            var retryAt = pipeline.Time.GetUtcNow() + wait;
            var fate = failed.MaybeBilled ? HoldFate.InDoubt : wait is null ? HoldFate.Release : HoldFate.Keep;
            pipeline.Logger.LogWarning("Model call of run {Run} failed at attempt {Attempt}: {Failure}", log.Run, attempt, failed.Failure.Message);
            await log.FailAttemptAsync(key, subject, attempt, failed.Failure, fate, retryAt, cancellationToken);
            if (retryAt is null)
                return GiveUp(failed, failures, pipeline.Time.GetElapsedTime(began));
            held = fate == HoldFate.Keep;
            await DelayUntilAsync(retryAt.Value, log.Halting, cancellationToken);
        }
    }

    /// <summary>Waits for the provider's gate, then for leave to send, and sends.</summary>
    /// <param name="patience">For the gate. Longer than the policy lasts nobody waits.</param>
    private async Task<(DateTimeOffset StartedAt, UpstreamReply Reply, PaidResult Paid)> AttemptAsync(Way way, int attempt, TimeSpan patience, CancellationToken cancellationToken)
    {
        using var pass = await EnterAsync(way, attempt, patience, cancellationToken);
        var startedAt = pipeline.Time.GetUtcNow();
        if (pass is null)
            return (startedAt, way.To.Upstream.NotLetIn(), default);
        if (!await WaitForLeaveAsync(cancellationToken))
            await StopAsync(attempt, cancellationToken);
        var (reply, paid) = await way.Send(attempt, _fitted?.MaxOutput ?? 0, cancellationToken);
        return (startedAt, reply, paid);
    }

    private async Task<IDisposable?> EnterAsync(Way way, int attempt, TimeSpan patience, CancellationToken cancellationToken)
    {
        var (gate, shows) = (way.To.Upstream.Gate, false);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(log.Halting, cancellationToken);
        try
        {
            return await gate.EnterAsync(log.Run, patience, ShowAsync, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            await StopAsync(attempt, cancellationToken);
            throw;
        }
        finally
        {
            if (shows && !cancellationToken.IsCancellationRequested)
                await log.ShowWaitAsync(null, cancellationToken);
        }

        Task ShowAsync()
        {
            shows = true;
            var now = pipeline.Time.GetUtcNow();
            return log.ShowWaitAsync(new OutsideWait($"provider {way.To.Provider.Name}", gate.PausedUntil > now ? gate.PausedUntil : now + patience), cancellationToken);
        }
    }

    private async Task StopAsync(int attempt, CancellationToken cancellationToken)
    {
        await log.FailAttemptAsync(key, subject, attempt, new Failure(ErrorCodes.NotAllowed, "the run was stopped before anything was sent", Retryable: true), HoldFate.Release, null, cancellationToken);
        throw new OperationCanceledException(log.Halting);
    }

    /// <summary>With less output where that is what is left: each denial says what would fit under the limit that it met.</summary>
    private async Task<LimitDenial?> ReserveAsync(CancellationToken cancellationToken)
    {
        _fitted = size;
        while (true)
        {
            if (await log.BeginAsync(key, subject, _fitted?.Hold, cancellationToken) is not BeginOutcome.Denied(var denial))
                return null;
            if (_fitted?.Within(denial) is not { } smaller)
                return denial;
            _fitted = smaller;
        }
    }

    private static ModelOutcome GiveUp(UpstreamReply.Failed failed, int failures, TimeSpan elapsed) =>
        failed.Retry == RetryClass.Never
            ? new ModelOutcome.Failed(failed.Failure)
            : new ModelOutcome.Exhausted(new Failure(
                ErrorCodes.RetryExhausted,
                FormattableString.Invariant($"gave up after {failures} failed attempts in {elapsed.TotalSeconds:0.#} s; the last: {failed.Failure.Code}: {failed.Failure.Message}"),
                Retryable: true));

    /// <summary><c>false</c> where the run halts before it may send: that may be for good.</summary>
    private async Task<bool> WaitForLeaveAsync(CancellationToken cancellationToken)
    {
        while (!log.MaySend)
        {
            if (log.Halting.IsCancellationRequested)
                return false;
            await Task.Delay(LeaseLook, pipeline.Time, cancellationToken);
        }

        return true;
    }

    private async Task DelayUntilAsync(DateTimeOffset time, CancellationToken halting, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(halting, cancellationToken);
        // Towards a point in time, because journaling the failure has taken some of it.
        var left = time - pipeline.Time.GetUtcNow();
        if (left > TimeSpan.Zero)
            await Task.Delay(left, pipeline.Time, either.Token);
    }
}
