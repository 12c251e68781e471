using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>A run whose journal cannot be read: nothing can be known of it, so nothing of it is driven.</summary>
internal static class Unreadable
{
    private const int InboxPage = 100;

    internal static async Task PauseAsync(RunServices services, RunRecord claimed, NodeId node, CaissonException problem, CancellationToken cancellationToken)
    {
        // The inputs are consumed as well, or they would wake the run again at once. Of them only a cancel can be done.
        var inputs = await services.Reader.ReadInboxAsync(claimed.Id, InboxPage, cancellationToken);
        var cancelled = inputs.Any(i => i.Kind == InputKind.Cancel);
        var entry = cancelled
            ? new JournalDraft(EntryKind.RunEnded, JournalJson.Write(new EntryBody.RunEnded(RunStatus.Cancelled, null, null)))
            : new JournalDraft(EntryKind.Paused, JournalJson.Write(new EntryBody.Paused(PauseCause.Corrupt, problem.Message)));
        var row = new RunRow(cancelled ? RunStatus.Cancelled : RunStatus.Paused, WaitReason.None, cancelled ? PauseCause.None : PauseCause.Corrupt, null, Release: true,
            claimed.Summary with { Detail = problem.Message });
        await services.Store.AppendAsync(new ChangeSet(claimed.Id, new Fence(node, claimed.Epoch), services.Ids.NextRandom(), claimed.LastSeq + 1, services.Clock.GetUtcNow(),
            [entry], row, [], [.. inputs.Select(i => i.Id)]), CancellationToken.None);
        services.Signals.Changed(claimed.Id);
    }
}
