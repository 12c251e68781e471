using System.Globalization;
using System.Runtime.CompilerServices;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Stores;
using Caisson.Core.Verification;

namespace Caisson.Core.Operations;

/// <summary>
/// What people do with runs beyond starting, stopping and looking: signals, decisions, outcomes of unknown steps,
/// retries, budgets, forks, and finding out what is going on. It reads the journal, judges by pure functions, and
/// leaves an input for the run's owner; only the owner writes the journal.
/// </summary>
public sealed partial class RunOperations(
    IRunStore store,
    IRunReader reader,
    IBudgetStore budgets,
    IBlobStore blobs,
    IModels models,
    RunSignals signals,
    TimeProvider clock,
    IIdSource ids,
    KillSwitches? kills = null)
{
    /// <summary>Who asked, where nobody said.</summary>
    public const string Operator = "operator";

    private const int MaxName = 100;
    private const int MaxIdempotencyKey = 200;
    private const int InboxShown = 20;

    private readonly JournalPages _journal = new(reader, blobs);

    /// <summary>Why the run stands where it stands.</summary>
    public async Task<WhyView?> WhyAsync(RunId run, CancellationToken cancellationToken) =>
        await reader.FindAsync(run, cancellationToken) is { } record ? (await ExplainAsync(record, cancellationToken)).Why : null;

    /// <summary>Writes what is known of the run as one JSON document; <c>false</c>, and nothing, where there is no such run.</summary>
    /// <param name="payloads">The results of steps too, not only their sizes.</param>
    /// <param name="begin">Called when it is sure that something will be written.</param>
    public async Task<bool> BundleAsync(RunId run, bool payloads, Stream output, Action begin, CancellationToken cancellationToken)
    {
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return false;
        var (why, inbox) = await ExplainAsync(record, cancellationToken);
        begin();
        await new BundleWriter(_journal, budgets, blobs, clock).WriteAsync(record, why, inbox, payloads, output, cancellationToken);
        return true;
    }

    private async Task<(WhyView Why, IReadOnlyList<InboxInput> Inbox)> ExplainAsync(RunRecord run, CancellationToken cancellationToken)
    {
        if (signals.CurrentStep(run.Id) is { } step)
            run = run with { Summary = run.Summary with { CurrentStep = step } };
        var inbox = await reader.ReadInboxAsync(run.Id, InboxShown, cancellationToken);
        return (WhyRun.Explain(run, await _journal.OpenWorkAsync(run, cancellationToken), inbox, clock.GetUtcNow()), inbox);
    }

    /// <summary>Holds the run's journal, and every blob that it names, against the engine's invariants.</summary>
    public async Task<VerifyView?> VerifyAsync(RunId run, CancellationToken cancellationToken) =>
        await new RunVerification(reader, blobs).VerifyAsync(run, cancellationToken) is { } report
            ? new VerifyView(run.ToString(), report.Entries, [.. report.Findings.Select(f => new FindingView(f.Seq, Words.Of(f.Code), f.Text))], report.Truncated)
            : null;

    /// <summary>Lets a run go on that paused because of a trouble, once that is mended.</summary>
    public async Task<OperationOutcome> RetryAsync(RunId run, string? by, CancellationToken cancellationToken)
    {
        if (await reader.FindAsync(run, cancellationToken) is not { } record)
            return new OperationOutcome.NotFound();
        if (kills?.Stopped(record.Tenant, record.Agent) is { } stopped)
            return new OperationOutcome.Refused(stopped);
        var open = record.Paused == PauseCause.Unknown ? (await _journal.OpenWorkAsync(record, cancellationToken)).Unknowns.Items : [];
        if (RetryRule.Check(record, open) is { } refused)
            return new OperationOutcome.Refused(refused);
        return Named(by, out var who) is { } unnamed
            ? unnamed
            : await PostAsync(run, InputKind.Resume, null, JournalJson.Write(new InputBody.Operator(who, null, null)), cancellationToken);
    }

    private async Task<OperationOutcome> PostAsync(RunId run, InputKind kind, string? id, byte[] payload, CancellationToken cancellationToken)
    {
        var outcome = await store.PostAsync(new NewInput(run, id ?? ids.NextRandom().ToString("N", CultureInfo.InvariantCulture), kind, payload), cancellationToken);
        if (outcome is PostOutcome.Posted)
            signals.Due(run);
        return outcome switch
        {
            PostOutcome.NotFound => new OperationOutcome.NotFound(),
            PostOutcome.Ended ended => Refuse(ErrorCodes.RunEnded, $"run {run} is {Words.Of(ended.Status)}: an ended run takes no more input"),
            PostOutcome.Duplicate => new OperationOutcome.Accepted(Existing: true),
            _ => new OperationOutcome.Accepted(),
        };
    }

    /// <summary>The name that stands in the journal, or why there is none.</summary>
    private static OperationOutcome.Refused? Named(string? by, out string who)
    {
        who = by ?? Operator;
        return who.Length is > 0 and <= MaxName ? null : Refuse(ErrorCodes.RequestInvalid, $"by: allowed is a name of 1 to {MaxName} characters");
    }

    private static OperationOutcome.Refused Refuse(string code, DefaultInterpolatedStringHandler message) => new(new Failure(code, message.ToStringAndClear()));
}
