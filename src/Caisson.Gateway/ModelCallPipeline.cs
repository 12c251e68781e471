using System.Collections.Frozen;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Gateway.OpenAi;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Providers;
using Microsoft.Extensions.Logging;

namespace Caisson.Gateway;

/// <summary>
/// The single way to a model provider. A call is a journaled step:
/// <list type="number">
/// <item>look up: a recorded answer is given as it was, and nothing else happens;</item>
/// <item>resolve the provider, the model and its price;</item>
/// <item>bound: clamp the output, write the request, compute the most that it can cost;</item>
/// <item>begin: reserve that bound and journal the intent, durably, before a byte leaves;</item>
/// <item>send, as soon as and only while this node may;</item>
/// <item>complete: journal the answer and settle the hold with the real usage in one write;</item>
/// <item>or journal the failure, and wait or give up.</item>
/// </list>
/// When the server dies between 4 and 6, the next owner's claim turns the hold into money spent in doubt and the call
/// is made again. When the provider or the way to it dies, a failure that surely cost nothing keeps its hold for the
/// next attempt; one that may have been billed spends its hold, and the next attempt reserves anew.
/// </summary>
public sealed class ModelCallPipeline : IModels, IDisposable
{
    private static readonly TimeSpan LeaseLook = TimeSpan.FromMilliseconds(50);

    private readonly FrozenDictionary<string, (Provider Provider, Upstream Upstream)> _providers;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Lock _randomLock = new();
    private readonly ILogger _logger;

    /// <param name="providers">Valid ones, see <see cref="ProviderOptions.Validate"/>; copied.</param>
    /// <param name="handler">Carries all traffic instead of the pipeline's own sockets, and stays the caller's.</param>
    public ModelCallPipeline(IReadOnlyList<ProviderOptions> providers, PriceTable prices, TimeProvider time, Random random, ILogger logger, HttpMessageHandler? handler = null)
    {
        if (ProviderOptions.Validate(providers) is [var first, ..])
            throw new ArgumentException(first.Message, nameof(providers));
        _time = time;
        _random = random;
        _logger = logger;
        _providers = providers
            .Select(options => new Provider(options, prices, Environment.GetEnvironmentVariable))
            .ToFrozenDictionary(provider => provider.Name, provider => (provider, new Upstream(provider, time, handler)), StringComparer.Ordinal);
    }

    public void Dispose()
    {
        foreach (var (_, upstream) in _providers.Values)
            upstream.Dispose();
    }

    /// <inheritdoc />
    public Failure? Check(string model, bool moneyIsCapped) =>
        Resolve(model, moneyIsCapped) is Resolution.Refused(var failure) ? failure : null;

    /// <inheritdoc />
    public long DearestOf(string model, long tokens) =>
        Resolve(model, moneyIsCapped: false) is Resolution.Found { Price: { } price } ? Math.Max(price.UpperBound(tokens, 0), price.UpperBound(0, tokens)) : 0;

    /// <inheritdoc />
    public async Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken)
    {
        // 1. Before anything that can wait: the step's occurrence is taken at the call's entry. A recorded answer needs
        // no provider, so one that has left the configuration does not stop a replay.
        var key = log.ModelStep(request.Identity);
        var subject = SubjectOf(request);
        var lookup = log.Find(key, subject);
        if (lookup is StepLookup.Drifted(var report))
            return new ModelOutcome.Drifted(report);
        if (lookup is StepLookup.Recorded(var record))
            return Recall(record);
        var priorAttempts = ((StepLookup.NotRecorded)lookup).PriorAttempts;

        // 2.
        if (Resolve(request.Model, request.MoneyIsCapped) is not Resolution.Found found)
            return new ModelOutcome.Failed(Check(request.Model, request.MoneyIsCapped)!);

        // 3.
        var maxOutput = CallBounds.ClampOutput(request.MaxOutputTokens, found.Provider.MaxOutputTokens, found.Price?.Context);
        ReadOnlyMemory<byte> body;
        try
        {
            body = ChatRequest.Write(request, found.Model, found.Provider.MaxTokensField, maxOutput);
        }
        catch (JsonException e)
        {
            return new ModelOutcome.Failed(new Failure(ErrorCodes.RequestInvalid, $"a tool's schema is no JSON: {ProviderText.Quote(e.Message)}"));
        }

        if (body.Length > CallBounds.MaxRequestBytes)
            return new ModelOutcome.Failed(new Failure(ErrorCodes.PayloadTooLarge, $"the request to {ProviderText.Quote(request.Model, 128)} has {body.Length} bytes; at most {CallBounds.MaxRequestBytes} are sent"));
        var hold = CallBounds.Hold(request, body.Length, maxOutput, found.Price);
        return await new PaidCall(this, found, request, body, hold, key, subject, log).BuyAsync(priorAttempts, cancellationToken);
    }

    private static ModelOutcome Recall(StepRecord record)
    {
        if (record.Failure is { } failure)
            return new ModelOutcome.Failed(failure);
        return RecordedAnswer.Decode(record.Result.Span) is { } answer
            ? new ModelOutcome.Answered(answer, record.Key, Recorded: true)
            : new ModelOutcome.Drifted(new DriftReport(record.Seq, "a result that is no model answer", record.Subject.Name));
    }

    private static StepSubject SubjectOf(ModelRequest request) => new(
        StepKind.Model, request.Model, request.Identity, CallId: null, $"{request.Messages.Count} messages, {request.Tools.Count} tools");

    private Resolution Resolve(string model, bool moneyIsCapped)
    {
        var slash = model.IndexOf('/', StringComparison.Ordinal);
        if (slash <= 0 || slash == model.Length - 1)
            return Refuse(ErrorCodes.ModelUnknown, $"model '{ProviderText.Quote(model, 128)}' must be written PROVIDER/MODEL");
        var (providerName, name) = (model[..slash], model[(slash + 1)..]);
        if (!_providers.TryGetValue(providerName, out var entry))
        {
            var known = _providers.Count == 0 ? "none is" : string.Join(", ", _providers.Keys.Order(StringComparer.Ordinal)) + (_providers.Count == 1 ? " is" : " are");
            return Refuse(ErrorCodes.ModelUnknown, $"provider '{ProviderText.Quote(providerName, 64)}' of model '{ProviderText.Quote(model, 128)}' is not configured; {known}");
        }

        if (entry.Provider.KeyProblem is { } problem)
            return new Resolution.Refused(problem);
        var price = entry.Provider.PriceOf(name);
        if (price is null && moneyIsCapped)
            return Refuse(ErrorCodes.ModelUnpriced, $"model '{ProviderText.Quote(model, 128)}' has no known price and money is capped; set providers.{providerName}.prices or remove the money limit");
        return new Resolution.Found(entry.Provider, entry.Upstream, name, price);

        static Resolution.Refused Refuse(string code, string message) => new(new Failure(code, message));
    }

    private double Dice()
    {
        lock (_randomLock)
            return _random.NextDouble();
    }

    private abstract record Resolution
    {
        public sealed record Found(Provider Provider, Upstream Upstream, string Model, ModelPrice? Price) : Resolution;

        public sealed record Refused(Failure Failure) : Resolution;
    }

    /// <summary>One call that is not in the journal yet, through all its attempts.</summary>
    private sealed class PaidCall(
        ModelCallPipeline pipeline,
        Resolution.Found found,
        ModelRequest request,
        ReadOnlyMemory<byte> body,
        Hold hold,
        StepKey key,
        StepSubject subject,
        IStepLog log)
    {
        public async Task<ModelOutcome> BuyAsync(int priorAttempts, CancellationToken cancellationToken)
        {
            // The policy's attempts and time are those of this drive: a run that was paused and resumed starts afresh,
            // while the journaled number goes on.
            var began = pipeline._time.GetTimestamp();
            var (failures, counted, held) = (0, 0, false);
            while (true)
            {
                // 4.
                if (!held && await log.BeginAsync(key, subject, hold, cancellationToken) is BeginOutcome.Denied(var denial))
                    return new ModelOutcome.LimitReached(denial);
                held = true;

                // 5.
                var attempt = priorAttempts + failures + 1;
                if (!await WaitForLeaveAsync(cancellationToken))
                {
                    await log.FailAttemptAsync(key, subject, attempt, new Failure(ErrorCodes.NotAllowed, "the run was stopped before anything was sent", Retryable: true), HoldFate.Release, null, cancellationToken);
                    throw new OperationCanceledException(log.Halting);
                }

                var startedAt = pipeline._time.GetUtcNow();
                var reply = await found.Upstream.SendAsync(found.Model, body, key, attempt, log, cancellationToken);
                if (reply is UpstreamReply.Answered answered)
                    return await CompleteAsync(answered, attempt, startedAt, cancellationToken);
                if (reply is not UpstreamReply.Failed failed)
                    continue;

                // 7.
                failures++;
                counted += failed.Retry == RetryClass.Counted ? 1 : 0;
                var elapsed = pipeline._time.GetElapsedTime(began);
                var wait = failed.Retry == RetryClass.Never ? null : RetryPolicy.Next(request.Retry, failures, counted, elapsed, failed.RetryAfter, pipeline.Dice());
                var retryAt = pipeline._time.GetUtcNow() + wait;
                var fate = failed.MaybeBilled ? HoldFate.InDoubt : wait is null ? HoldFate.Release : HoldFate.Keep;
                pipeline._logger.LogWarning("Model call of run {Run} failed at attempt {Attempt}: {Failure}", log.Run, attempt, failed.Failure.Message);
                await log.FailAttemptAsync(key, subject, attempt, failed.Failure, fate, retryAt, cancellationToken);
                if (retryAt is null)
                    return GiveUp(failed, failures, elapsed);
                held = fate == HoldFate.Keep;
                await DelayUntilAsync(retryAt.Value, log.Halting, cancellationToken);
            }
        }

        // 6.
        private async Task<ModelOutcome> CompleteAsync(UpstreamReply.Answered answered, int attempt, DateTimeOffset startedAt, CancellationToken cancellationToken)
        {
            var tokens = answered.Usage ?? CallBounds.Estimate(body.Length, answered.Answer);
            var usage = new Usage(found.Price?.Cost(tokens) ?? 0, tokens.Input, tokens.Output, tokens.Cached, tokens.Estimated);
            var result = new StepResult(RecordedAnswer.Encode(answered.Answer), usage, attempt, startedAt);
            await log.CompleteAsync(key, subject, result, cancellationToken);
            return new ModelOutcome.Answered(answered.Answer, key, Recorded: false);
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
                await Task.Delay(LeaseLook, pipeline._time, cancellationToken);
            }

            return true;
        }

        private async Task DelayUntilAsync(DateTimeOffset time, CancellationToken halting, CancellationToken cancellationToken)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(halting, cancellationToken);
            // Towards a point in time, because journaling the failure has taken some of it.
            var left = time - pipeline._time.GetUtcNow();
            if (left > TimeSpan.Zero)
                await Task.Delay(left, pipeline._time, either.Token);
        }
    }
}
