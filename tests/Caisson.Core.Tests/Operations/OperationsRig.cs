using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Operations;
using Caisson.Core.Stores;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Core.Tests.Operations;

/// <summary>Operations on a store in memory that holds runs with written journals; nobody drives them.</summary>
internal sealed class OperationsRig
{
    private static readonly NodeId Node = new(Guid.Parse("00000000-0000-0000-0000-0000000000aa"));

    internal OperationsRig()
    {
        Clock.SetUtcNow(TestJournal.Start.AddMinutes(10));
        Store = new MemoryStore(Clock);
        Ids = new SystemIds(Clock);
        Operations = new RunOperations(Store, Store, Store, Blobs, Models, new RunSignals(), Clock, Ids);
    }

    internal FakeTimeProvider Clock { get; } = new();

    internal MemoryStore Store { get; }

    internal MemoryBlobs Blobs { get; } = new();

    internal Prices Models { get; } = new();

    internal SystemIds Ids { get; }

    internal RunOperations Operations { get; }

    internal static RunId Unknown => RunId.Parse("0194f2c8-0000-7000-8000-0000000000ff");

    /// <summary>Puts a run into the store whose journal says what the given one says.</summary>
    internal async Task<RunId> PutAsync(
        TestJournal journal, RunStatus status = RunStatus.Paused, PauseCause paused = PauseCause.None, RunSummary? summary = null,
        Func<NewRun, NewRun>? change = null, IReadOnlyList<BudgetChange>? budget = null)
    {
        await Store.RegisterAsync(new NodeRegistration(Node, "here", "boot", 1, 1), default);
        var id = new RunId(Ids.NextRun());
        Clock.Advance(TimeSpan.FromMilliseconds(1));
        var run = new NewRun(id, "agent", null, "hash", Clock.GetUtcNow(), Draft(journal.Entries[0]), summary ?? new RunSummary(), null, null);
        Assert.IsType<CreateOutcome.Created>(await Store.CreateAsync(change is null ? run : change(run), default));
        var claimed = Assert.IsType<ClaimOutcome.Claimed>(await Store.ClaimAsync(id, Node, default)).Run;
        var rest = journal.Entries.Skip(1).Where(e => e.Kind != EntryKind.EpochClaimed).Select(Draft).ToList();
        var row = new RunRow(status, WaitReason.None, paused, null, Release: true, summary ?? new RunSummary());
        Assert.IsType<AppendOutcome.Committed>(await Store.AppendAsync(new ChangeSet(id, new Fence(Node, claimed.Epoch), Ids.NextRandom(), claimed.LastSeq + 1, Clock.GetUtcNow(), rest, row, budget ?? [], []), default));
        return id;
    }

    internal async Task<IReadOnlyList<(InputKind Kind, string Json)>> InboxAsync(RunId run) =>
        [.. (await Store.ReadInboxAsync(run, 100, default)).Select(i => (i.Kind, System.Text.Encoding.UTF8.GetString(i.Payload.Span)))];

    private static JournalDraft Draft(JournalEntry entry) => new(entry.Kind, entry.Body, entry.Scope, entry.Key, entry.Attempt, entry.Payload, entry.Blob);

    /// <summary>Knows every model, and the price of none.</summary>
    internal sealed class Prices : IModels
    {
        internal bool Priced { get; set; }

        public Failure? Check(string model, bool moneyIsCapped) => moneyIsCapped && !Priced ? new Failure(ErrorCodes.ModelUnpriced, $"{model} has no price") : null;

        public long DearestOf(string model, long tokens) => 0;

        public Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken) => throw new InvalidOperationException("nobody calls models here");
    }
}
