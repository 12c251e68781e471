using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>What a fork shares with the run that it comes from.</summary>
public abstract partial class RunStoreConformance
{
    [Fact]
    public async Task A_fork_draws_on_the_root_of_its_origin()
    {
        var root = await CreateAndClaimAsync(usd: 100);
        root = await AppendAsync(Unit(root, Step("a")) with { Budget = [new BudgetChange.Reserve("a", new Hold(70, 0)), new BudgetChange.Settle("a", new Usage(70, 0, 0))] });
        await EndAsync(root);
        var fork = await CreateAndClaimAsync(NewRun(usd: 100) with { Origin = root.Id });
        var second = await CreateAndClaimAsync(NewRun(usd: 100) with { Origin = fork.Id });

        Assert.Equal(["tenant:default", $"run:{root.Id}", $"run:{fork.Id}"], fork.Path);
        Assert.Equal(["tenant:default", $"run:{root.Id}", $"run:{second.Id}"], second.Path);
        Assert.Equal((root.Id, fork.Id, null, null), (fork.Origin, second.Origin, fork.Parent, second.Parent));
        fork = await AppendAsync(Unit(fork) with { Budget = [new BudgetChange.Reserve("b", new Hold(20, 0))] });
        var denied = Assert.IsType<AppendOutcome.Denied>(await Store.AppendAsync(Unit(second) with { Budget = [new BudgetChange.Reserve("c", new Hold(20, 0))] }, default));
        Assert.Equal(($"run:{root.Id}", 70L, 20L), (denied.Denial.Node, denied.Denial.Spent, denied.Denial.Held));

        await _host.Budgets.SetCapAsync($"run:{root.Id}", LimitDimension.NanoUsd, 200, default);
        await AppendAsync(Unit(second) with { Budget = [new BudgetChange.Reserve("c", new Hold(20, 0))] });
    }

    [Fact]
    public async Task A_fork_of_a_child_stands_beside_it()
    {
        var root = await CreateAndClaimAsync();
        var child = await SpawnAndClaimAsync(root);

        var fork = await CreateAndClaimAsync(NewRun() with { Parent = child.Parent, Origin = child.Id, Depth = child.Depth });

        Assert.Equal(["tenant:default", $"run:{root.Id}", $"run:{fork.Id}"], fork.Path);
    }

    [Fact]
    public async Task An_ended_run_is_kept_as_long_as_a_fork_of_it_lives()
    {
        var origin = await EndAsync(await CreateAndClaimAsync());
        var other = await EndAsync(await CreateAndClaimAsync());
        var fork = await CreateAndClaimAsync(NewRun() with { Origin = origin.Id });
        var late = Clock.GetUtcNow().AddYears(1);

        Assert.Equal([other.Id], await _host.Retention.FindEndedAsync(late, 10, default));
        Assert.False(await _host.Retention.DeleteRunAsync(origin.Id, default));
        Assert.NotEmpty(await JournalAsync(origin.Id));

        await EndAsync(fork);
        Assert.Equal([origin.Id, other.Id, fork.Id], await _host.Retention.FindEndedAsync(late, 10, default));
        Assert.True(await _host.Retention.DeleteRunAsync(origin.Id, default));
        Assert.Equal(origin.Id, (await FindAsync(fork.Id)).Origin);
    }
}
