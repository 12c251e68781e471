using System.Globalization;
using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;

namespace Caisson.Simulation.Tests.Workload;

/// <summary>A gateway without a wire: reserves, calls, settles, fails and tries again by the model's name, on the engine's own ledger.</summary>
internal sealed class SimModels(TimeProvider clock, Func<double> dice, TaskScheduler scheduler) : IModels
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);

    private readonly EngineTasks _tasks = new(scheduler);

    internal static string NameOf(Op.Model op) => string.Create(CultureInfo.InvariantCulture, $"sim/{op.Hold}.{op.Cost}.{op.Fails}");

    public Failure? Check(string model, bool moneyIsCapped) => null;

    public long DearestOf(string model, long tokens) => 0;

    public async Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken)
    {
        var key = log.ModelStep(request.Identity);
        var subject = new StepSubject(StepKind.Model, request.Model, request.Identity, null, null);
        var numbers = request.Model["sim/".Length..].Split('.').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToList();
        return log.Find(key, subject) switch
        {
            StepLookup.Recorded { Record.Failure: { } failure } => new ModelOutcome.Failed(failure),
            StepLookup.Recorded recorded => Answered(recorded.Record.Result, key, true),
            StepLookup.Drifted drifted => new ModelOutcome.Drifted(drifted.Report),
            StepLookup.NotRecorded fresh => await CallAsync(new Call(log, key, subject, numbers[0], numbers[1], numbers[2], request.Retry), fresh.PriorAttempts, cancellationToken),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    private sealed record Call(IStepLog Log, StepKey Key, StepSubject Subject, int Hold, int Cost, int Fails, RetrySettings Retry);

    private async Task<ModelOutcome> CallAsync(Call call, int prior, CancellationToken cancellationToken)
    {
        var first = clock.GetUtcNow();
        var held = false;
        for (var tries = 1; ; tries++)
        {
            var attempt = prior + tries;
            var started = clock.GetUtcNow();
            if (!held && await call.Log.BeginAsync(call.Key, call.Subject, new Hold(call.Hold, call.Hold), cancellationToken) is BeginOutcome.Denied denied)
                return new ModelOutcome.LimitReached(denied.Denial);
            while (!call.Log.MaySend)
                await _tasks.DelayAsync(Look, clock, cancellationToken);
            await _tasks.DelayAsync(TimeSpan.FromMilliseconds(50 * call.Cost), clock, cancellationToken);
            if (attempt > call.Fails)
            {
                var text = string.Create(CultureInfo.InvariantCulture, $"answer {attempt}");
                await call.Log.CompleteAsync(call.Key, call.Subject, new StepResult(Encoding.UTF8.GetBytes(text), new Usage(call.Cost, call.Cost / 2, 1), attempt, started), cancellationToken);
                return Answered(Encoding.UTF8.GetBytes(text), call.Key, false);
            }

            var failure = new Failure(ErrorCodes.ProviderFailed, "busy", Retryable: true);
            var wait = RetryPolicy.Next(call.Retry, tries, tries, clock.GetUtcNow() - first, null, dice());
            var fate = (HoldFate)(1 + call.Cost % 3);
            if (wait is null && fate == HoldFate.Keep)
                fate = HoldFate.Release;
            var retryAt = clock.GetUtcNow() + wait;
            await call.Log.FailAttemptAsync(call.Key, call.Subject, attempt, failure, fate, retryAt, cancellationToken);
            if (retryAt is not { } next)
                return new ModelOutcome.Exhausted(failure);
            held = fate == HoldFate.Keep;
            using var either = CancellationTokenSource.CreateLinkedTokenSource(call.Log.Halting, cancellationToken);
            if (next - clock.GetUtcNow() is var left && left > TimeSpan.Zero)
                await _tasks.DelayAsync(left, clock, either.Token);
        }
    }

    private static ModelOutcome.Answered Answered(ReadOnlyMemory<byte> text, StepKey key, bool recorded) =>
        new(new ModelAnswer(Encoding.UTF8.GetString(text.Span), [], "stop", "sim", null), key, recorded);
}
