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
    private readonly FrozenDictionary<string, (Provider Provider, Upstream Upstream)> _providers;
    private readonly IReadOnlyList<string> _order;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Lock _randomLock = new();
    private readonly ILogger _logger;

    /// <param name="providers">Valid ones, see <see cref="ProviderOptions.Validate"/>; copied.</param>
    /// <param name="handler">Carries all traffic instead of the pipeline's own sockets, and stays the caller's.</param>
    public ModelCallPipeline(IReadOnlyList<ProviderOptions> providers, PriceTable prices, TimeProvider time, Random random, ILogger logger, HttpMessageHandler? handler = null)
    {
        if (ProviderOptions.Validate(providers).Concat(ProviderOptions.UnknownFallbacks(providers)).FirstOrDefault() is { } first)
            throw new ArgumentException(first.Message, nameof(providers));
        _time = time;
        _random = random;
        _logger = logger;
        _order = [.. providers.Select(p => p.Name)];
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
        Resolve(model, moneyIsCapped: false) is Resolution.Found found
            ? WithFallbacks(found, moneyIsCapped: false).Max(w => w.Price is { } price ? Math.Max(price.UpperBound(tokens, 0), price.UpperBound(0, tokens)) : 0)
            : 0;

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
        var maxOutput = BoundOf(request, found);
        var bodies = new List<(Resolution.Found To, ReadOnlyMemory<byte> Body)>();
        try
        {
            foreach (var to in WithFallbacks(found, request.MoneyIsCapped))
                bodies.Add((to, ChatRequest.Write(request, to.Provider.NameOf(to.Model), to.Provider.MaxTokensField, Math.Min(maxOutput, BoundOf(request, to)))));
        }
        catch (JsonException e)
        {
            return new ModelOutcome.Failed(new Failure(ErrorCodes.RequestInvalid, $"a tool's schema is no JSON: {ProviderText.Quote(e.Message)}"));
        }

        var longest = bodies.Max(b => b.Body.Length);
        if (longest > CallBounds.MaxRequestBytes)
            return new ModelOutcome.Failed(new Failure(ErrorCodes.PayloadTooLarge, $"the request to {ProviderText.Quote(request.Model, 128)} has {longest} bytes; at most {CallBounds.MaxRequestBytes} are sent"));
        var size = CallBounds.Size(request, longest, maxOutput, found.Price) with { Fallbacks = PricesOf(bodies.Skip(1).Select(b => b.To)) };
        ModelAnswer? answer = null;
        var ways = bodies.Select(b => new Way(b.To, async (attempt, _, cancellation) =>
        {
            var reply = await b.To.Upstream.SendAsync(b.To.Model, b.Body, key, attempt, log, cancellation);
            if (reply is not UpstreamReply.Answered answered)
                return (reply, default);
            answer = answered.Answer;
            return (reply, new PaidResult(RecordedAnswer.Encode(answer), answered.Usage ?? CallBounds.Estimate(b.Body.Length, answer)));
        }));
        var call = new PaidCall(this, request.Retry, [.. ways], size, key, subject, log);
        return await call.BuyAsync(priorAttempts, cancellationToken) ?? new ModelOutcome.Answered(answer!, key, Recorded: false);
    }

    private static int BoundOf(ModelRequest request, Resolution.Found to) =>
        CallBounds.ClampOutput(request.MaxOutputTokens, to.Provider.MaxOutputTokens, to.Price?.Context);

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

    internal Resolution Resolve(string model, bool moneyIsCapped)
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

    /// <summary>
    /// The upstream of a program's call. A name with a slash names the provider; a bare one, as clients write it, is the
    /// first configured provider's that speaks the wire.
    /// </summary>
    internal Resolution ResolveFor(Wires.WireCall call, bool moneyIsCapped)
    {
        var speaking = _order.Where(name => _providers[name].Provider.Family == call.Wire.Family).ToList();
        if (speaking.Count == 0)
            return new Resolution.Refused(new Failure(ErrorCodes.ModelUnknown, $"no configured provider speaks the wire {call.Wire.Name}; add one with wire = '{call.Wire.Family.ToString().ToLowerInvariant()}'"));
        var (first, upstream) = _providers[speaking[0]];
        if (call.Model.Length == 0)
            return first.KeyProblem is { } keyless ? new Resolution.Refused(keyless) : new Resolution.Found(first, upstream, "", null);
        var named = speaking.FirstOrDefault(name => call.Model.StartsWith(name + "/", StringComparison.Ordinal));
        return Resolve(named is not null ? call.Model : $"{speaking[0]}/{call.Model}", moneyIsCapped && call.IsBilled);
    }

    /// <summary>What was asked for, then what stands in for it: all that can be had now and speak the same wire.</summary>
    internal IReadOnlyList<Resolution.Found> WithFallbacks(Resolution.Found first, bool moneyIsCapped)
    {
        var all = new List<Resolution.Found> { first };
        foreach (var named in first.Provider.Fallback)
        {
            // A star is the name that was asked for.
            var model = named.EndsWith("/*", StringComparison.Ordinal) ? named[..^1] + first.Model : named;
            if (Resolve(model, moneyIsCapped) is Resolution.Found other && other.Provider.Family == first.Provider.Family && !all.Contains(other))
                all.Add(other);
        }

        return all;
    }

    internal static IReadOnlyList<ModelPrice> PricesOf(IEnumerable<Resolution.Found> models) => [.. models.Select(m => m.Price).OfType<ModelPrice>()];

    internal TimeProvider Time => _time;

    internal ILogger Logger => _logger;

    internal double Dice()
    {
        lock (_randomLock)
            return _random.NextDouble();
    }

    internal abstract record Resolution
    {
        public sealed record Found(Provider Provider, Upstream Upstream, string Model, ModelPrice? Price) : Resolution;

        public sealed record Refused(Failure Failure) : Resolution;
    }
}
