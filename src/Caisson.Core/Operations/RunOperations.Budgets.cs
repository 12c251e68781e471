using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

public sealed partial class RunOperations
{
    private const string None = "none";
    private const int MaxWaste = 1_000;

    public static bool IsTenantName(string name) => name.Length is > 0 and <= MaxName && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    public async Task<BudgetOutcome> TenantBudgetAsync(string tenant, CancellationToken cancellationToken)
    {
        if (!IsTenantName(tenant))
            return new BudgetOutcome.Refused(BadTenant(tenant));
        var node = BudgetNodes.OfTenant(tenant);
        var rows = await budgets.ReadBudgetAsync(node, cancellationToken);
        return new BudgetOutcome.Found(new BudgetView(node, [node], [.. rows.OrderBy(r => r.Dimension).Select(r => Row(r.Dimension, r.State))]));
    }

    /// <summary>What a run may spend and has spent: its ledger, and the counts that its owner keeps.</summary>
    public async Task<BudgetOutcome> RunBudgetAsync(RunId run, CancellationToken cancellationToken)
    {
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new BudgetOutcome.NotFound();
        var node = BudgetNodes.Of(run);
        var ledger = (await budgets.ReadBudgetAsync(node, cancellationToken)).ToDictionary(r => r.Dimension, r => r.State);
        foreach (var (dimension, cap, own) in await CountsAsync(record, cancellationToken))
        {
            // The ledger's row, where there is one, counts what descendants did; what the run did itself stands in its own figures.
            var below = ledger.GetValueOrDefault(dimension) ?? BudgetState.None;
            ledger[dimension] = below with { Cap = cap, Spent = below.Spent + own };
        }

        return new BudgetOutcome.Found(new BudgetView(node, record.Path, [.. ledger.OrderBy(r => r.Key).Select(r => Row(r.Key, r.Value))]));
    }

    /// <summary>Holds that ended in doubt: what crashes may have cost.</summary>
    public async Task<WasteList?> WasteAsync(RunId run, CancellationToken cancellationToken) =>
        await reader.FindAsync(run, cancellationToken) is null
            ? null
            : new WasteList(run.ToString(), [.. (await budgets.ReadWasteAsync(run, MaxWaste, cancellationToken)).Select(w => new WasteView(w.StepKey, w.Epoch, Money.Text(w.NanoUsd), w.Tokens, w.Cause, w.At))]);

    /// <summary>Sets or lifts caps of a tenant: they count from the next admission on.</summary>
    public async Task<OperationOutcome> SetTenantCapsAsync(string tenant, IReadOnlyDictionary<string, string> caps, CancellationToken cancellationToken)
    {
        if (!IsTenantName(tenant))
            return new OperationOutcome.Refused(BadTenant(tenant));
        var (parsed, failure) = Parse(caps);
        if (failure is not null)
            return new OperationOutcome.Refused(failure);
        if (parsed.ContainsKey(LimitDimension.Deadline))
            return Refuse(ErrorCodes.RequestInvalid, $"caps.deadline: a tenant has none, a run has");
        foreach (var (dimension, cap) in parsed)
            await budgets.SetCapAsync(BudgetNodes.OfTenant(tenant), dimension, cap, cancellationToken);
        if (signals.CapsSet is { } take)
            await take(BudgetNodes.OfTenant(tenant));
        return new OperationOutcome.Accepted();
    }

    /// <summary>
    /// Sets caps of a run through its inbox, so that its journal has them. A paused run stays paused. Of an ended run what
    /// its forks draw on can be set: money and tokens.
    /// </summary>
    public async Task<OperationOutcome> SetRunCapsAsync(RunId run, IReadOnlyDictionary<string, string> caps, string? by, CancellationToken cancellationToken)
    {
        if (Named(by, out var who) is { } unnamed)
            return unnamed;
        var (parsed, failure) = Parse(caps);
        if (failure is not null)
            return new OperationOutcome.Refused(failure);
        if (parsed.FirstOrDefault(p => p.Value is null) is { Value: null, Key: not 0 and var lifted })
            return Refuse(ErrorCodes.RequestInvalid, $"caps.{BudgetDimensions.Name(lifted)}: a run's cap is raised, never lifted");
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new OperationOutcome.NotFound();
        if (record.Status.IsFinal())
            return await SetEndedCapsAsync(record, parsed, cancellationToken);
        if (parsed.ContainsKey(LimitDimension.NanoUsd) && (await CreatedAsync(run, cancellationToken))?.Manifest.Loop is { } loop && models.Check(loop.Model, moneyIsCapped: true) is { } unpriced)
            return new OperationOutcome.Refused(unpriced);
        var raise = new RaisedLimits(
            parsed.GetValueOrDefault(LimitDimension.NanoUsd), parsed.GetValueOrDefault(LimitDimension.Tokens), parsed.GetValueOrDefault(LimitDimension.Steps), parsed.GetValueOrDefault(LimitDimension.ToolCalls),
            parsed.GetValueOrDefault(LimitDimension.Deadline) is { } ms ? TimeSpan.FromMilliseconds(ms) : null);
        return await PostAsync(run, InputKind.Raise, null, JournalJson.Write(new InputBody.Operator(who, null, raise)), cancellationToken);
    }

    private async Task<OperationOutcome> SetEndedCapsAsync(RunRecord run, Dictionary<LimitDimension, long?> caps, CancellationToken cancellationToken)
    {
        if (caps.Keys.FirstOrDefault(d => d is not (LimitDimension.NanoUsd or LimitDimension.Tokens)) is var counted and not 0)
            return Refuse(ErrorCodes.RunEnded, $"run {run.Id} is {Words.Of(run.Status)}: of its caps only usd and tokens still count, for its forks, and not {BudgetDimensions.Name(counted)}");
        foreach (var (dimension, cap) in caps)
            await budgets.SetCapAsync(BudgetNodes.Of(run.Id), dimension, cap, cancellationToken);
        return new OperationOutcome.Accepted();
    }

    private static (Dictionary<LimitDimension, long?> Caps, Failure? Failure) Parse(IReadOnlyDictionary<string, string> caps)
    {
        var parsed = new Dictionary<LimitDimension, long?>();
        if (caps.Count == 0)
            return (parsed, Bad("caps: found none, allowed is at least one"));
        foreach (var (name, text) in caps)
        {
            if (BudgetDimensions.Find(name) is not { } dimension)
                return (parsed, Bad($"caps: found '{name}', allowed are {string.Join(", ", BudgetDimensions.Settable.Select(BudgetDimensions.Name))}"));
            if (text == None)
                parsed[dimension] = null;
            else if (BudgetDimensions.TryParse(dimension, text, out var amount, out var allowed))
                parsed[dimension] = amount;
            else
                return (parsed, Bad($"caps.{name}: found '{text}', allowed is {allowed}"));
        }

        return (parsed, null);

        static Failure Bad(string message) => new(ErrorCodes.RequestInvalid, message);
    }

    /// <summary>Limits in force that the run's owner counts by itself, and how far each is used.</summary>
    private async Task<IReadOnlyList<(LimitDimension Dimension, long? Cap, long Own)>> CountsAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var limits = new LimitSettings();
        var raised = new RaisedLimits();
        await foreach (var read in _journal.ReadAsync(run.Id, run.LastSeq, cancellationToken))
        {
            if (read.Stored.Kind == EntryKind.RunCreated)
                limits = JournalJson.Read<EntryBody.RunCreated>(read.Body).Manifest.Limits;
            else if (read.Stored.Kind == EntryKind.LimitRaised && JournalJson.Read<EntryBody.LimitRaised>(read.Body).Limits is var more)
                raised = raised with { Steps = more.Steps ?? raised.Steps, ToolCalls = more.ToolCalls ?? raised.ToolCalls, Deadline = more.Deadline ?? raised.Deadline };
        }

        var age = (run.EndedAt ?? clock.GetUtcNow()) - run.CreatedAt;
        return
        [
            (LimitDimension.Steps, raised.Steps ?? limits.Steps, run.Summary.Steps),
            (LimitDimension.ToolCalls, raised.ToolCalls ?? limits.ToolCalls, run.Summary.ToolCalls),
            (LimitDimension.Deadline, (long?)(raised.Deadline ?? limits.Deadline)?.TotalMilliseconds, (long)Math.Ceiling(age.TotalSeconds) * 1000),
        ];
    }

    private async Task<EntryBody.RunCreated?> CreatedAsync(RunId run, CancellationToken cancellationToken)
    {
        await foreach (var read in _journal.ReadAsync(run, 1, cancellationToken))
            return JournalJson.Read<EntryBody.RunCreated>(read.Body);
        return null;
    }

    private static BudgetRowView Row(LimitDimension dimension, BudgetState state)
    {
        string Text(long amount) => BudgetDimensions.Text(dimension, amount);
        return new BudgetRowView(BudgetDimensions.Name(dimension), state.Cap is { } cap ? Text(cap) : null, Text(state.Spent), Text(state.Held), Text(state.InDoubt));
    }

    private static Failure BadTenant(string tenant) => new(ErrorCodes.RequestInvalid, $"tenant: found '{tenant}', allowed are up to {MaxName} of the characters a-z, A-Z, 0-9, '.', '_' and '-'");
}
