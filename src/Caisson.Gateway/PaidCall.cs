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
/// <param name="size">What is held for it; <c>null</c>: it costs nothing.</param>
/// <param name="send">Makes one attempt, with the bound of the output that is held. Of an answer it says what is recorded and what is billed.</param>
internal sealed class PaidCall(
    ModelCallPipeline pipeline,
    RetrySettings retry,
    ModelPrice? price,
    CallSize? size,
    StepKey key,
    StepSubject subject,
    IStepLog log,
    Func<int, int, CancellationToken, Task<(UpstreamReply Reply, PaidResult Paid)>> send)
{
    private static readonly TimeSpan LeaseLook = TimeSpan.FromMilliseconds(50);

    private CallSize? _fitted;

    /// <returns>What kept it from being answered; <c>null</c> once its answer is recorded.</returns>
    public async Task<ModelOutcome?> BuyAsync(int priorAttempts, CancellationToken cancellationToken)
    {
        // The policy's attempts and time are those of this drive: a run that was paused and resumed starts afresh,
        // while the journaled number goes on.
        var began = pipeline.Time.GetTimestamp();
        var (failures, counted, held) = (0, 0, false);
        while (true)
        {
            // 4.
            if (!held && await ReserveAsync(cancellationToken) is { } denial)
                return new ModelOutcome.LimitReached(denial);
            held = true;

            // 5.
            var attempt = priorAttempts + failures + 1;
            if (!await WaitForLeaveAsync(cancellationToken))
            {
                await log.FailAttemptAsync(key, subject, attempt, new Failure(ErrorCodes.NotAllowed, "the run was stopped before anything was sent", Retryable: true), HoldFate.Release, null, cancellationToken);
                throw new OperationCanceledException(log.Halting);
            }

            var startedAt = pipeline.Time.GetUtcNow();
            var (reply, paid) = await send(attempt, _fitted?.MaxOutput ?? 0, cancellationToken);
            if (reply is UpstreamReply.Done)
            {
                // 6.
                var tokens = paid.Usage;
                var usage = new Usage(price?.Cost(tokens) ?? 0, tokens.Input, tokens.Output, tokens.Cached, tokens.Estimated) { Prices = size is null ? null : price?.Origin?.Digest };
                await log.CompleteAsync(key, subject, new StepResult(paid.Result, usage, attempt, startedAt), cancellationToken);
                return null;
            }

            if (reply is not UpstreamReply.Failed failed)
                continue;

            // 7.
            failures++;
            counted += failed.Retry == RetryClass.Counted ? 1 : 0;
            var elapsed = pipeline.Time.GetElapsedTime(began);
            var wait = failed.Retry == RetryClass.Never ? null : RetryPolicy.Next(retry, failures, counted, elapsed, failed.RetryAfter, pipeline.Dice());
            var retryAt = pipeline.Time.GetUtcNow() + wait;
            var fate = failed.MaybeBilled ? HoldFate.InDoubt : wait is null ? HoldFate.Release : HoldFate.Keep;
            pipeline.Logger.LogWarning("Model call of run {Run} failed at attempt {Attempt}: {Failure}", log.Run, attempt, failed.Failure.Message);
            await log.FailAttemptAsync(key, subject, attempt, failed.Failure, fate, retryAt, cancellationToken);
            if (retryAt is null)
                return GiveUp(failed, failures, elapsed);
            held = fate == HoldFate.Keep;
            await DelayUntilAsync(retryAt.Value, log.Halting, cancellationToken);
        }
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
