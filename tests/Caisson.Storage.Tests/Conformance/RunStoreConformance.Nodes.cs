using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>Who may write, who comes first, and whom a crash makes suspect.</summary>
public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Only_a_living_node_claims()
    {
        var run = await CreateAsync();
        var dead = _node;
        var living = await RegisterAsync();

        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run, new NodeId(Ids.NextRandom()), default));
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run, dead, default));
        await ClaimAsync(run, living);
        await _host.Nodes.RetireAsync(living, default);
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run, living, default));
    }

    /// <summary>Two zombies: one whose run was taken over, and one that was declared dead and whose run nobody took yet.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_zombie_writes_nothing(bool takenOver)
    {
        var target = await PauseAsync(await CreateAndClaimAsync());
        var run = await CreateAndClaimAsync(usd: 100);
        run = await AppendAsync(Unit(run, Entry(EntryKind.StepStarted, "{}", "a")) with { Budget = [new BudgetChange.Reserve("a", new Hold(10, 0))] });
        await PostAsync(run.Id, "x");
        var input = Assert.Single(await Reader.ReadInboxAsync(run.Id, 10, default));
        var zombie = _node;
        var next = await RegisterAsync();
        var seq = run.LastSeq + 1;
        if (takenOver)
            seq = (await ClaimAsync(run.Id, next)).LastSeq + 1;
        var before = (await EverythingAsync(run.Id), await EverythingAsync(target.Id));

        var child = ChildOf(run);
        var unit = Unit(run, Step("a")) with
        {
            FirstSeq = seq,
            Children = [child],
            Posts = [InputFor(target.Id, "from a zombie")],
            ConsumedInputs = [input.Id],
            Budget = [new BudgetChange.Settle("a", new Usage(1, 1, 1)), new BudgetChange.SetCap(LimitDimension.NanoUsd, 1)],
        };
        foreach (var attempt in new[] { unit, unit with { Entries = [] }, unit with { Entries = [Entry(EntryKind.RunEnded, "{}")], State = Halted(run, RunStatus.Completed) } })
            Assert.IsType<AppendOutcome.Fenced>(await Store.AppendAsync(attempt with { AppendId = Ids.NextRandom() }, default));
        Assert.IsType<ClaimOutcome.NotClaimable>(await Store.ClaimAsync(run.Id, zombie, default));
        Assert.Equal(RenewOutcome.Fenced, _host.Nodes.Renew(zombie));

        Assert.Equal(before, (await EverythingAsync(run.Id), await EverythingAsync(target.Id)));
        Assert.Null(await Reader.FindAsync(child.Id, default));
        Assert.Equal(takenOver, !(await Reader.FindClaimableAsync(next, 10, default)).Contains(run.Id));
    }

    [Fact]
    public async Task Runs_that_were_at_work_come_before_those_that_waited_and_both_before_new_ones()
    {
        var fresh = await CreateAsync();
        var waiting = await CreateAndClaimAsync();
        await AppendAsync(Unit(waiting) with { State = new RunRow(RunStatus.Waiting, WaitReason.Timer, PauseCause.None, Clock.GetUtcNow().AddHours(1), Release: false, waiting.Summary) });
        var running = await CreateAndClaimAsync();

        var next = await RegisterAsync();

        Assert.Equal([running.Id, waiting.Id, fresh], await Reader.FindClaimableAsync(next, 10, default));
        Assert.Equal([running.Id], await Reader.FindClaimableAsync(next, 1, default));
    }

    [Fact]
    public async Task A_tenants_backlog_does_not_keep_others_waiting()
    {
        var due = new Dictionary<string, List<RunId>> { ["a"] = [], ["b"] = [], ["c"] = [] };
        foreach (var tenant in new[] { "a", "a", "a", "a", "a", "b", "c", "c" })
        {
            var run = NewRun() with { Tenant = tenant };
            await Store.CreateAsync(run, default);
            due[tenant].Add(run.Id);
            Clock.Advance(TimeSpan.FromSeconds(1));
        }

        await Store.CreateAsync(NewRun() with { Tenant = "d", DueAt = Clock.GetUtcNow().AddHours(1) }, default);

        Assert.Equal([due["a"][0], due["b"][0], due["c"][0], due["a"][1]], await Reader.FindClaimableAsync(_node, 4, default));
        Assert.Equal(
            [due["a"][0], due["b"][0], due["c"][0], due["a"][1], due["c"][1], due["a"][2], due["a"][3], due["a"][4]],
            await Reader.FindClaimableAsync(_node, 10, default));
        Assert.Equal((await FindAsync(due["a"][0])).DueAt, await Reader.NextDueAsync(default));
    }

    [Fact]
    public async Task A_wait_without_a_time_is_ended_by_an_input_only()
    {
        var run = await CreateAndClaimAsync();
        await AppendAsync(Unit(run) with { State = new RunRow(RunStatus.Waiting, WaitReason.Signal, PauseCause.None, null, Release: true, run.Summary) });
        Clock.Advance(TimeSpan.FromHours(1));
        Assert.False(await IsClaimableAsync(run.Id));
        Assert.Null(await Reader.NextDueAsync(default));

        await PostAsync(run.Id, "signal", InputKind.Signal);

        Assert.True(await IsClaimableAsync(run.Id));
    }

    [Fact]
    public async Task A_crash_makes_runs_at_work_suspect_until_their_next_step()
    {
        var first = await CreateAndClaimAsync();
        var second = await CreateAndClaimAsync();
        var waiting = await CreateAndClaimAsync();
        await AppendAsync(Unit(waiting) with { State = new RunRow(RunStatus.Waiting, WaitReason.Timer, PauseCause.None, Clock.GetUtcNow(), Release: false, waiting.Summary) });
        var paused = await PauseAsync(await CreateAndClaimAsync());

        await CrashAsync();
        Assert.Equal([(1, 0), (1, 0), (0, 0), (0, 0)], await Task.WhenAll(new[] { first, second, waiting, paused }.Select(SuspicionAsync)));

        // Now only one of them is at work when the next process dies.
        first = await ClaimAsync(first.Id);
        second = await ClaimAsync(second.Id);
        await AppendAsync(Unit(second) with { State = Halted(second, RunStatus.Ready, due: Clock.GetUtcNow()) });
        await CrashAsync();
        Assert.Equal([(2, 1), (1, 0)], [await SuspicionAsync(first), await SuspicionAsync(second)]);

        first = await AppendAsync(Unit(await ClaimAsync(first.Id), Entry(EntryKind.StepStarted, "{}", "k")));
        Assert.Equal((2, 1), await SuspicionAsync(first));
        first = await AppendAsync(Unit(first, Step("k")));
        Assert.Equal((0, 0), await SuspicionAsync(first));
    }

    [Fact]
    public async Task An_orderly_end_and_the_end_of_the_host_make_nobody_suspect()
    {
        var run = await CreateAndClaimAsync();

        await _host.Nodes.RetireAsync(_node, default);
        _node = await RegisterAsync();
        await ClaimAsync(run.Id);
        Assert.Equal((0, 0), await SuspicionAsync(run));

        _node = await RegisterAsync("boot after a power cut");
        Assert.Equal((0, 0), await SuspicionAsync(run));
        await ClaimAsync(run.Id);

        // The one that was dead already is not counted again.
        _node = await RegisterAsync("boot after a power cut");
        Assert.Equal((1, 1), await SuspicionAsync(run));
        _node = await RegisterAsync("boot after a power cut");
        Assert.Equal((1, 1), await SuspicionAsync(run));
    }

    [Fact]
    public async Task Suspects_at_work_are_listed_and_those_that_wait_or_stand_are_in_nobody_s_way()
    {
        var runs = new List<RunRecord>();
        for (var i = 0; i < 5; i++)
            runs.Add(await CreateAndClaimAsync());
        await CrashAsync();
        runs[0] = await ClaimAsync(runs[0].Id);
        await CrashAsync();
        foreach (var i in new[] { 2, 3, 4 })
            runs[i] = await ClaimAsync(runs[i].Id);
        await AppendAsync(Unit(runs[2]) with { State = new RunRow(RunStatus.Waiting, WaitReason.Signal, PauseCause.None, null, Release: false, runs[2].Summary) });
        await PauseAsync(runs[3]);
        await EndAsync(runs[4]);

        Assert.Equal([(runs[0].Id, 2), (runs[1].Id, 1)], await Reader.ListSuspectsAsync(10, default));
        Assert.Equal([(runs[0].Id, 2)], await Reader.ListSuspectsAsync(1, default));
        await AppendAsync(Unit(await ClaimAsync(runs[0].Id), Step("k")));
        Assert.Equal([(runs[1].Id, 1)], await Reader.ListSuspectsAsync(10, default));
    }

    private async Task CrashAsync() => _node = await RegisterAsync();

    private async Task<(int, int)> SuspicionAsync(RunRecord run) => await FindAsync(run.Id) is var row ? (row.Suspicion, row.LoneCrashes) : default;
}
