using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    /// <summary>The first entry whose hash is not that of itself after the one before it.</summary>
    internal static long? FirstBroken(RunId run, IReadOnlyList<JournalEntry> journal)
    {
        var head = ReadOnlyMemory<byte>.Empty;
        for (var i = 0; i < journal.Count; i++)
        {
            if (!journal[i].Chain.Span.SequenceEqual(JournalChain.Next(head.Span, run, journal[i])))
                return i + 1;
            head = journal[i].Chain;
        }

        return null;
    }

    [Fact]
    public async Task The_chain_of_a_journal_can_be_recomputed_from_what_is_read()
    {
        var parent = await CreateAndClaimAsync(NewRun() with { More = [Entry(EntryKind.ForkedFrom, "{}") with { At = Clock.GetUtcNow().AddTicks(12_345_678) }, Step("a")] });
        Clock.Advance(TimeSpan.FromTicks(1_234_567));
        parent = await AppendAsync(Unit(parent, Step("b", new string('x', 9_000)), new JournalDraft(EntryKind.StepCompleted, "{}"u8.ToArray(), "scope", "k", 2, null, "address"), new JournalDraft(EntryKind.Paused, default)));
        var child = await SpawnAndClaimAsync(parent);
        child = await AppendAsync(Unit(await ClaimAsync(child.Id, await RegisterAsync()), Step("c")));
        await EndAsync(child);

        foreach (var run in new[] { parent.Id, child.Id })
        {
            var journal = await JournalAsync(run);
            Assert.All(journal, e => Assert.Equal(32, e.Chain.Length));
            Assert.Null(FirstBroken(run, journal));
        }
    }

    [Fact]
    public async Task Whatever_is_changed_in_a_journal_breaks_its_chain()
    {
        var run = await CreateAndClaimAsync();
        await AppendAsync(Unit(run, Step("a"), Step("b"), Step("c")));
        var journal = await JournalAsync(run.Id);
        var third = journal[2];

        JournalEntry[] changed =
        [
            third with { Kind = EntryKind.StepFailed }, third with { At = third.At.AddMilliseconds(1) }, third with { Epoch = 2 }, third with { Scope = "s" }, third with { Key = "z" },
            third with { Attempt = 2 }, third with { Body = "{}"u8.ToArray() }, third with { Payload = "9"u8.ToArray() }, third with { Blob = "address" }, third with { Chain = default },
        ];
        foreach (var entry in changed)
            Assert.Equal(3, FirstBroken(run.Id, [.. journal.Take(2), entry, .. journal.Skip(3)]));
        Assert.Equal(3, FirstBroken(run.Id, [.. journal.Take(2), .. journal.Skip(3)]));
        Assert.Equal(3, FirstBroken(run.Id, [.. journal.Take(2), journal[3], third, journal[4]]));
        Assert.Equal(1, FirstBroken(new RunId(Ids.NextRun()), journal));
    }
}
