using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Agents;

/// <summary>What a fork does about a step that must not be repeated, after the place where it begins.</summary>
internal static class ForkRecords
{
    private const int PageSize = 500;

    /// <summary>The answer that stands for the execution, or <c>null</c> to execute it.</summary>
    internal static async Task<StepResult?> AnswerAsync(RunSession session, RunServices services, StepCall call)
    {
        var now = services.Clock.GetUtcNow();
        switch (session.History.Fork)
        {
            case { Effects: ForkEffects.DryRun }:
                return new StepResult(default, Usage.None, 1, now, new Failure(ErrorCodes.DryRun, $"step '{call.Subject.Name}' was not executed: this fork is a dry run"));
            case { Effects: ForkEffects.FromRecord } fork:
                return await FindAsync(services, RunId.Parse(fork.Parent), fork.Seq, call, session.Owned) is { } record
                    ? new StepResult(record.Result, Usage.None, 1, now, record.Failure, null)
                    : null;
            default:
                return null;
        }
    }

    private static async Task<StepRecord?> FindAsync(RunServices services, RunId parent, long after, StepCall call, CancellationToken cancellationToken)
    {
        while (true)
        {
            var page = await services.Reader.ReadJournalAsync(parent, after, PageSize, cancellationToken);
            foreach (var entry in page.Where(e => e.Kind == EntryKind.StepCompleted && e.Key == call.Key.Hash))
            {
                var whole = (await JournalWriter.ResolveAsync(services.Blobs, [entry], cancellationToken))[0];
                var arrival = new Arrival(whole.Seq, whole.At, whole.Kind, whole.Key, EntryBodies.Read(whole.Kind, whole.Body), whole.Payload ?? default, Slots.Step(whole.Key!));
                return StepJson.Match(arrival, call).Record;
            }

            if (page.Count < PageSize)
                return null;
            after = page[^1].Seq;
        }
    }
}
