using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Runs_are_listed_newest_first_in_pages()
    {
        var created = new List<RunId>();
        for (var i = 0; i < 7; i++)
            created.Add(await CreateAsync());

        var listed = new List<RunId>();
        RunId? before = null;
        while (true)
        {
            var page = await Reader.ListAsync(new RunFilter(null, null, before, 3), default);
            if (page.Count == 0)
                break;
            listed.AddRange(page.Select(r => r.Id));
            before = page[^1].Id;
        }

        created.Reverse();
        Assert.Equal(created, listed);
    }

    [Fact]
    public async Task Lists_are_filtered_by_status_and_agent()
    {
        var ready = await CreateAsync(agent: "a");
        var running = await ClaimAsync(await CreateAsync(agent: "b"));
        var paused = await PauseAsync(await ClaimAsync(await CreateAsync(agent: "a")));

        Assert.Equal([ready], await ListAsync([RunStatus.Ready], null));
        Assert.Equal([paused.Id, running.Id], await ListAsync([RunStatus.Running, RunStatus.Paused], null));
        Assert.Equal([paused.Id, ready], await ListAsync(null, "a"));
        Assert.Equal([paused.Id], await ListAsync([RunStatus.Running, RunStatus.Paused], "a"));
        Assert.Equal([paused.Id, running.Id, ready], await ListAsync([], null));
        Assert.Empty(await ListAsync([RunStatus.Failed], null));
        Assert.Empty(await ListAsync(null, "a' OR '1'='1"));

        async Task<IEnumerable<RunId>> ListAsync(IReadOnlyList<RunStatus>? statuses, string? agent) =>
            (await Reader.ListAsync(new RunFilter(statuses, agent, null, 10), default)).Select(r => r.Id);
    }

    [Fact]
    public async Task A_prefix_finds_the_runs_that_begin_with_it()
    {
        var runs = new List<RunId>();
        for (var i = 0; i < 5; i++)
            runs.Add(await CreateAsync());

        foreach (var run in runs)
        {
            var id = run.ToString();
            Assert.Equal([run], await Reader.FindByPrefixAsync(id, 10, default));
            for (var length = 1; length < id.Length; length++)
            {
                var expected = runs.Where(r => r.ToString().StartsWith(id[..length], StringComparison.Ordinal)).Order();
                Assert.Equal(expected, (await Reader.FindByPrefixAsync(id[..length], 10, default)).Order());
            }
        }

        Assert.Equal(2, (await Reader.FindByPrefixAsync(runs[0].ToString()[..2], 2, default)).Count);
        Assert.Empty(await Reader.FindByPrefixAsync("ffff", 10, default));
        Assert.Empty(await Reader.FindByPrefixAsync("%", 10, default));
    }

    [Fact]
    public async Task The_journal_is_read_in_pages_without_gap_or_repeat()
    {
        var other = await CreateAndClaimAsync();
        var run = await CreateAndClaimAsync();
        for (var i = 0; i < 10; i++)
        {
            run = await AppendAsync(Unit(run, Step(i.ToString(CultureInfo.InvariantCulture))));
            other = await AppendAsync(Unit(other, Step("other")));
        }

        var seqs = new List<long>();
        while (await Reader.ReadJournalAsync(run.Id, seqs.LastOrDefault(), 5, default) is { Count: > 0 } page)
            seqs.AddRange(page.Select(e => e.Seq));

        Assert.Equal(Enumerable.Range(1, 12).Select(i => (long)i), seqs);
        Assert.Empty(await Reader.ReadJournalAsync(new RunId(Ids.NextRun()), 0, 5, default));
    }

    [Fact]
    public async Task Claimable_runs_come_with_the_earliest_due_first()
    {
        var first = await CreateAsync();
        Clock.Advance(TimeSpan.FromSeconds(1));
        var second = await CreateAsync();
        Clock.Advance(TimeSpan.FromSeconds(1));
        var third = await CreateAsync();

        Assert.Equal([first, second, third], await Reader.FindClaimableAsync(_node, 10, default));
        Assert.Equal([first, second], await Reader.FindClaimableAsync(_node, 2, default));
        Assert.Equal((await FindAsync(first)).DueAt, await Reader.NextDueAsync(default));
    }

    [Fact]
    public async Task The_runs_of_a_node_are_listed_with_whether_inputs_wait()
    {
        await CreateAsync();
        var quiet = await CreateAndClaimAsync();
        var asked = await CreateAndClaimAsync();
        await EndAsync(await CreateAndClaimAsync());
        await PostAsync(asked.Id, "x");

        var owned = await Reader.ListOwnedAsync(_node, default);

        Assert.Equal(new[] { new OwnedRun(quiet.Id, false), new OwnedRun(asked.Id, true) }.OrderBy(o => o.Run), owned.OrderBy(o => o.Run));
        Assert.Empty(await Reader.ListOwnedAsync(new NodeId(Ids.NextRandom()), default));
    }

    [Fact]
    public async Task Nothing_is_due_in_an_empty_store()
    {
        Assert.Null(await Reader.NextDueAsync(default));
        Assert.Empty(await Reader.FindClaimableAsync(_node, 10, default));
        Assert.Null(await Reader.FindAsync(new RunId(Ids.NextRun()), default));
    }

    [Fact]
    public async Task The_next_process_finds_everything_as_it_was()
    {
        var run = await CreateAndClaimAsync(usd: 100, tokens: 50);
        run = await AppendAsync(Unit(run, Step("k", new string('x', 9_000))) with { Budget = [new BudgetChange.Reserve("h", new Core.Journal.Hold(10, 10))] });
        await PostAsync(run.Id, "x");
        var paused = await PauseAsync(await CreateAndClaimAsync());
        var waiting = await CreateAndClaimAsync();
        waiting = await AppendAsync(Unit(waiting) with { State = new RunRow(RunStatus.Waiting, WaitReason.Retry, PauseCause.None, Clock.GetUtcNow().AddSeconds(9), false, waiting.Summary with { Detail = "later", LimitAt = LimitDimension.Steps, Failure = new Failure("c", "m", true) }) });
        var ids = new[] { run.Id, paused.Id, waiting.Id };
        var before = await Task.WhenAll(ids.Select(EverythingAsync));

        await _host.ReopenAsync();

        Assert.Equal(before, await Task.WhenAll(ids.Select(EverythingAsync)));
        Assert.Equal(RenewOutcome.Renewed, _host.Nodes.Renew(_node));
        await AppendAsync(Unit(await FindAsync(run.Id), Step("k2")));
    }
}
