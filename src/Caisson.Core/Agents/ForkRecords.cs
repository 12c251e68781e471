using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

internal abstract record ForkAnswer
{
    /// <summary>The fork says nothing about it: it executes.</summary>
    internal sealed record None : ForkAnswer;

    /// <summary>Stands for the execution.</summary>
    internal sealed record Given(StepResult Result) : ForkAnswer;

    /// <summary>In the run that it was forked from it began and did not end: nobody knows whether it took effect.</summary>
    internal sealed record Open(string Problem) : ForkAnswer;
}

/// <summary>
/// What a fork does about a step that must not be repeated, after the place where it begins. Its origin is kept as long
/// as the fork lives; were it gone all the same, the run halts rather than repeat what may stand in there.
/// </summary>
internal static class ForkRecords
{
    private const int PageSize = 500;

    internal static async Task<ForkAnswer> AnswerAsync(RunSession session, RunServices services, StepCall call) => session.History.Fork switch
    {
        { Effects: ForkEffects.DryRun } => new ForkAnswer.Given(new StepResult(default, Usage.None, 1, services.Clock.GetUtcNow(),
            new Failure(ErrorCodes.DryRun, $"step '{call.Subject.Name}' was not executed: this fork is a dry run"))),
        { Effects: ForkEffects.FromRecord } fork => await FindAsync(services, RunId.Parse(fork.Parent), fork.Seq, call, session.Owned),
        _ => new ForkAnswer.None(),
    };

    private static async Task<ForkAnswer> FindAsync(RunServices services, RunId origin, long after, StepCall call, CancellationToken cancellationToken)
    {
        if (await services.Reader.FindAsync(origin, cancellationToken) is null)
            throw new RunHaltException(new RunHalt.Exhausted(new Failure(ErrorCodes.RunNotFound, $"step '{call.Subject.Name}' is answered from the records of run {origin}, which is gone: cancel this fork, and make one with effects live or dry_run")));
        var open = false;
        while (true)
        {
            var page = await services.Reader.ReadJournalAsync(origin, after, PageSize, cancellationToken);
            foreach (var entry in page.Where(e => e.Key == call.Key.Hash))
            {
                if (await RecordAsync(services, entry, call, cancellationToken) is { } record)
                    return new ForkAnswer.Given(new StepResult(record.Result, Usage.None, 1, services.Clock.GetUtcNow(), record.Failure, null));
                open = entry.Kind is EntryKind.StepStarted or EntryKind.StepUnknown or EntryKind.EgressIntended;
            }

            if (page.Count < PageSize)
                return open ? new ForkAnswer.Open($"step '{call.Subject.Name}' is open in run {origin}, which this fork answers from") : new ForkAnswer.None();
            after = page[^1].Seq;
        }
    }

    /// <summary>What was completed, or decided to stand for it, in the origin; <c>null</c> where the entry is none, or is another step's.</summary>
    private static async Task<StepRecord?> RecordAsync(RunServices services, JournalEntry entry, StepCall call, CancellationToken cancellationToken)
    {
        if (entry.Kind is not (EntryKind.StepCompleted or EntryKind.StepResolved))
            return null;
        var whole = (await JournalWriter.ResolveAsync(services.Blobs, [entry], cancellationToken))[0];
        var body = EntryBodies.Read(whole.Kind, whole.Body);
        return Arrival.SlotOf(whole.Kind, whole.Key, body) is { } slot
            ? StepJson.Match(new Arrival(whole.Seq, whole.At, whole.Kind, whole.Key, body, whole.Payload ?? default, slot), call).Record
            : null;
    }
}
