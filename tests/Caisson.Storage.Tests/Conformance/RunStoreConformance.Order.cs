using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>Who is claimed first.</summary>
public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task Of_a_dead_node_s_runs_those_in_a_model_call_come_first_and_tenants_take_turns()
    {
        var (quiet, calling) = (new Dictionary<string, List<RunId>>(), new Dictionary<string, List<RunId>>());
        foreach (var tenant in new[] { "a", "b" })
            (quiet[tenant], calling[tenant]) = ([], []);
        foreach (var tenant in new[] { "a", "a", "a", "b" })
        {
            quiet[tenant].Add((await CreateAndClaimAsync(NewRun() with { Tenant = tenant })).Id);
            var run = await CreateAndClaimAsync(NewRun() with { Tenant = tenant });
            calling[tenant].Add(run.Id);
            await AppendAsync(Unit(run, Entry(EntryKind.StepStarted, "{}", "a")) with { Budget = [new BudgetChange.Reserve("a", new Hold(1, 1))] });
        }

        var next = await RegisterAsync();

        Assert.Equal(
            [calling["a"][0], calling["b"][0], calling["a"][1], calling["a"][2], quiet["a"][0], quiet["b"][0], quiet["a"][1], quiet["a"][2]],
            await Reader.FindClaimableAsync(next, 100, default));
    }

    [Fact]
    public async Task Children_of_a_dead_node_come_before_those_that_are_due()
    {
        var parent = await CreateAndClaimAsync();
        var (working, due) = (await SpawnAndClaimAsync(parent), ChildOf(parent));
        await AppendAsync(Unit(await FindAsync(parent.Id), Entry(EntryKind.ChildSpawned, "{}")) with { Children = [due] });

        var next = await RegisterAsync();

        Assert.Equal([working.Id, due.Id], await Reader.FindClaimableChildrenAsync(next, 100, default));
        Assert.Equal([working.Id], await Reader.FindClaimableChildrenAsync(next, 1, default));
    }

    [Fact]
    public async Task Children_come_before_queued_roots_the_deepest_first_and_a_quarter_is_left_for_due_time()
    {
        var roots = new List<RunId>();
        for (var i = 0; i < 8; i++)
        {
            roots.Add(await CreateAsync());
            Clock.Advance(TimeSpan.FromSeconds(1));
        }

        var parent = await CreateAndClaimAsync();
        var children = new List<NewRun>();
        foreach (var depth in new[] { 1, 1, 2, 1, 1 })
        {
            children.Add(NewRun() with { Parent = parent.Id, Tenant = parent.Tenant, Depth = depth, At = Clock.GetUtcNow() });
            Clock.Advance(TimeSpan.FromSeconds(1));
        }

        await AppendAsync(Unit(parent, Entry(EntryKind.ChildSpawned, "{}")) with { Children = children });
        var below = children.Select(c => c.Id).ToList();

        Assert.Equal([below[2], below[0], below[1], roots[0]], await Reader.FindClaimableAsync(_node, 4, default));
        Assert.Equal([below[2], below[0], below[1], below[3], below[4], roots[0], roots[1], roots[2]], await Reader.FindClaimableAsync(_node, 8, default));
        Assert.Equal([below[2]], await Reader.FindClaimableAsync(_node, 1, default));
        Assert.Equal(13, (await Reader.FindClaimableAsync(_node, 100, default)).Distinct().Count());
        Assert.Equal([below[2], below[0], below[1], below[3], below[4]], await Reader.FindClaimableChildrenAsync(_node, 100, default));
        Assert.Equal([below[2], below[0]], await Reader.FindClaimableChildrenAsync(_node, 2, default));
    }

    [Fact]
    public async Task Children_of_all_tenants_take_turns_and_those_not_due_yet_are_left()
    {
        var below = new List<RunId>();
        foreach (var tenant in new[] { "a", "a", "b" })
        {
            var parent = await CreateAndClaimAsync(NewRun() with { Tenant = tenant });
            var child = ChildOf(parent);
            below.Add(child.Id);
            await AppendAsync(Unit(parent, Entry(EntryKind.ChildSpawned, "{}")) with { Children = [child, ChildOf(parent) with { DueAt = Clock.GetUtcNow().AddHours(1) }] });
            Clock.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.Equal([below[0], below[2], below[1]], await Reader.FindClaimableAsync(_node, 10, default));
    }
}
