using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using CsCheck;

namespace Caisson.Storage.Tests.Conformance;

/// <summary>Budgets above a run: its ancestors' and its tenant's.</summary>
public abstract partial class RunStoreConformance
{
    private async Task<Dictionary<LimitDimension, BudgetState>> LedgerAsync(string node) =>
        (await _host.Budgets.ReadBudgetAsync(node, default)).ToDictionary(r => r.Dimension, r => r.State);

    private Task<Dictionary<LimitDimension, BudgetState>> LedgerAsync(RunRecord run) => LedgerAsync($"run:{run.Id}");

    private async Task<BudgetState> MoneyAsync(string node) => (await LedgerAsync(node))[LimitDimension.NanoUsd];

    private Task CapTenantAsync(string tenant, LimitDimension dimension, long? cap) => _host.Budgets.SetCapAsync($"tenant:{tenant}", dimension, cap, default);

    [Fact]
    public async Task A_hold_and_its_end_move_every_node_of_the_path()
    {
        var root = await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        var other = await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        var child = await SpawnAndClaimAsync(root);
        var grandchild = await SpawnAndClaimAsync(child);
        string[] path = ["tenant:acme", $"run:{root.Id}", $"run:{child.Id}", $"run:{grandchild.Id}"];

        grandchild = await AppendAsync(Unit(grandchild) with { Budget = [new BudgetChange.Reserve("a", new Hold(60, 6)), new BudgetChange.Reserve("b", new Hold(30, 3)), new BudgetChange.Reserve("c", new Hold(7, 1))] });
        foreach (var node in path)
            Assert.Equal((new BudgetState(null, 0, 97, 0), new BudgetState(null, 0, 10, 0)), (await MoneyAsync(node), (await LedgerAsync(node))[LimitDimension.Tokens]));

        await AppendAsync(Unit(grandchild) with { Budget = [new BudgetChange.Settle("a", new Usage(50, 2, 3)), new BudgetChange.Release("b"), new BudgetChange.Doubt("c")] });
        foreach (var node in path)
            Assert.Equal((new BudgetState(null, 57, 0, 7), new BudgetState(null, 6, 0, 1)), (await MoneyAsync(node), (await LedgerAsync(node))[LimitDimension.Tokens]));
        Assert.Equal(new BudgetState(null, 0, 0, 0), (await FindAsync(other.Id)).Money);
        Assert.Equal((2, child.Id, "acme"), (grandchild.Depth, grandchild.Parent, grandchild.Tenant));
    }

    [Fact]
    public async Task What_is_kept_for_a_last_call_must_be_free_on_the_run_s_own_node_only_and_is_not_taken()
    {
        var root = await CreateAndClaimAsync(NewRun(usd: 30));
        var child = await SpawnAndClaimAsync(root, usd: 30);
        var kept = new Amounts(10, 0, 0, 0);

        var denied = await Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(21, 0)) { Kept = kept }] }, default);
        Assert.Equal(new LimitDenial($"run:{child.Id}", LimitDimension.NanoUsd, 30, 0, 0, 31), Assert.IsType<AppendOutcome.Denied>(denied).Denial);

        child = await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(20, 0)) { Kept = kept }] });
        Assert.Equal(20, (await MoneyAsync($"run:{child.Id}")).Held);
        await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("b", new Hold(10, 0))] });
        Assert.Equal(30, (await MoneyAsync($"run:{root.Id}")).Held);
    }

    [Fact]
    public async Task The_outermost_node_that_refuses_is_named()
    {
        await CapTenantAsync("acme", LimitDimension.NanoUsd, 50);
        var root = await CreateAndClaimAsync(NewRun(usd: 40) with { Tenant = "acme" });
        var child = await SpawnAndClaimAsync(root, usd: 30);

        foreach (var (wanted, node, cap) in new[] { (51L, "tenant:acme", 50L), (41L, $"run:{root.Id}", 40L), (31L, $"run:{child.Id}", 30L) })
        {
            var outcome = await Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(wanted, 0))] }, default);
            Assert.Equal(new LimitDenial(node, LimitDimension.NanoUsd, cap, 0, 0, wanted), Assert.IsType<AppendOutcome.Denied>(outcome).Denial);
        }

        await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(30, 0))] });
        var own = await Store.AppendAsync(Unit(await FindAsync(root.Id)) with { Budget = [new BudgetChange.Reserve("b", new Hold(11, 0))] }, default);
        Assert.Equal(new LimitDenial($"run:{root.Id}", LimitDimension.NanoUsd, 40, 0, 30, 11), Assert.IsType<AppendOutcome.Denied>(own).Denial);
    }

    [Fact]
    public async Task Children_that_reserve_at_once_never_hold_more_than_their_parent_may()
    {
        var parent = await CreateAndClaimAsync(usd: 95);
        var children = new List<RunRecord>();
        for (var i = 0; i < 20; i++)
            children.Add(await SpawnAndClaimAsync(parent));

        var outcomes = await Task.WhenAll(children.Select(child => Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(10, 0))] }, default)));

        Assert.Equal(9, outcomes.OfType<AppendOutcome.Committed>().Count());
        Assert.Equal(11, outcomes.OfType<AppendOutcome.Denied>().Count());
        Assert.Equal(new BudgetState(95, 0, 90, 0), (await FindAsync(parent.Id)).Money);
    }

    [Fact]
    public async Task Input_and_output_tokens_are_held_where_a_node_caps_them()
    {
        var parent = await CreateAndClaimAsync(NewRun() with { Caps = new Dictionary<LimitDimension, long> { [LimitDimension.OutputTokens] = 20, [LimitDimension.InputTokens] = 100 } });
        var child = await SpawnAndClaimAsync(parent);
        child = await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(0, 70) { InputTokens = 60, OutputTokens = 10 })] });

        var input = await Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("b", new Hold(0, 45) { InputTokens = 41, OutputTokens = 4 })] }, default);
        var output = await Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("b", new Hold(0, 12) { InputTokens = 1, OutputTokens = 11 })] }, default);
        child = await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Settle("a", new Usage(0, 55, 25))] });

        Assert.Equal(new LimitDenial($"run:{parent.Id}", LimitDimension.InputTokens, 100, 0, 60, 41), Assert.IsType<AppendOutcome.Denied>(input).Denial);
        Assert.Equal(new LimitDenial($"run:{parent.Id}", LimitDimension.OutputTokens, 20, 0, 10, 11), Assert.IsType<AppendOutcome.Denied>(output).Denial);
        var rows = await LedgerAsync(parent);
        Assert.Equal((new BudgetState(100, 55, 0, 0), new BudgetState(20, 25, 0, 0)), (rows[LimitDimension.InputTokens], rows[LimitDimension.OutputTokens]));
        Assert.Equal(80, rows[LimitDimension.Tokens].Spent);
        Assert.Equal([LimitDimension.NanoUsd, LimitDimension.Tokens], (await LedgerAsync(child)).Keys.Order());
    }

    /// <summary>A row that begins to exist below open holds must know them, or their ends would take away what others hold.</summary>
    [Fact]
    public async Task A_cap_that_is_new_on_a_node_counts_what_is_held_below_it()
    {
        var parent = await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        var child = await SpawnAndClaimAsync(parent);
        child = await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("a", new Hold(0, 40) { InputTokens = 30, OutputTokens = 10 })] });

        await AppendAsync(Unit(await FindAsync(parent.Id)) with { Budget = [new BudgetChange.SetCap(LimitDimension.InputTokens, 100)] });
        await CapTenantAsync("acme", LimitDimension.OutputTokens, 15);

        Assert.Equal(new BudgetState(100, 0, 30, 0), (await LedgerAsync(parent))[LimitDimension.InputTokens]);
        Assert.Equal(new BudgetState(15, 0, 10, 0), (await LedgerAsync("tenant:acme"))[LimitDimension.OutputTokens]);
        Assert.IsType<AppendOutcome.Denied>(await Store.AppendAsync(Unit(child) with { Budget = [new BudgetChange.Reserve("b", new Hold(0, 6) { OutputTokens = 6 })] }, default));
        await AppendAsync(Unit(child) with { Budget = [new BudgetChange.Release("a")] });
        Assert.Equal((0, 0), ((await LedgerAsync(parent))[LimitDimension.InputTokens].Held, (await LedgerAsync("tenant:acme"))[LimitDimension.OutputTokens].Held));
    }

    [Fact]
    public async Task Work_is_counted_above_the_run_where_there_is_a_row_and_never_denied()
    {
        var root = await CreateAndClaimAsync(NewRun() with { Tenant = "acme", Caps = new Dictionary<LimitDimension, long> { [LimitDimension.Steps] = 2, [LimitDimension.Children] = 9 } });
        var child = await SpawnAndClaimAsync(root);

        child = await AppendAsync(Unit(child, Step("a")) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, 3), new BudgetChange.Count(LimitDimension.ToolCalls, 3)] });
        await AppendAsync(Unit(await FindAsync(root.Id), Step("a")) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, 1)] });
        await CapTenantAsync("acme", LimitDimension.Steps, 1);
        await AppendAsync(Unit(child, Step("b")) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, 4)] });
        await AppendAsync(Unit(await FindAsync(root.Id), Step("b")) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, 1)] });

        Assert.Equal(new BudgetState(2, 7, 0, 0), (await LedgerAsync(root))[LimitDimension.Steps]);
        Assert.Equal(new BudgetState(1, 5, 0, 0), (await LedgerAsync("tenant:acme"))[LimitDimension.Steps]);
        Assert.Equal(0, (await LedgerAsync(root))[LimitDimension.Children].Spent);
        Assert.Equal([LimitDimension.NanoUsd, LimitDimension.Tokens], (await LedgerAsync(child)).Keys.Order());

        await _host.ReopenAsync();
        await AppendAsync(Unit(await FindAsync(child.Id), Step("c")) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, 1)] });
        Assert.Equal(6, (await LedgerAsync("tenant:acme"))[LimitDimension.Steps].Spent);
    }

    [Fact]
    public async Task A_cap_can_be_lifted_and_set_where_there_was_none()
    {
        var run = await CreateAndClaimAsync(usd: 10);

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.SetCap(LimitDimension.NanoUsd, null), new BudgetChange.SetCap(LimitDimension.Children, 3)] });
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(1_000, 0))] });

        Assert.Equal(new BudgetState(null, 0, 1_000, 0), run.Money);
        Assert.Equal(new BudgetState(3, 0, 0, 0), (await LedgerAsync(run))[LimitDimension.Children]);
    }

    [Fact]
    public async Task A_tenant_has_a_ledger_from_its_first_run_on()
    {
        Assert.Empty(await _host.Budgets.ReadBudgetAsync("tenant:acme", default));

        await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        await CapTenantAsync("acme", LimitDimension.NanoUsd, 7);
        await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });

        Assert.Equal(
            [new BudgetRow("tenant:acme", LimitDimension.NanoUsd, new BudgetState(7, 0, 0, 0)), new BudgetRow("tenant:acme", LimitDimension.Tokens, new BudgetState(null, 0, 0, 0))],
            await _host.Budgets.ReadBudgetAsync("tenant:acme", default));
        var run = await CreateAndClaimAsync(usd: 100);
        foreach (var node in new[] { $"run:{Ids.NextRun()}", $"run:{run.Id}" })
            Assert.Equal(ErrorCodes.RunConflict, (await Assert.ThrowsAsync<CaissonException>(() => _host.Budgets.SetCapAsync(node, LimitDimension.NanoUsd, 1, default))).Code);
        Assert.Equal(100, (await FindAsync(run.Id)).Money.Cap);
        await EndAsync(run);
        await _host.Budgets.SetCapAsync($"run:{run.Id}", LimitDimension.NanoUsd, 200, default);
        Assert.Equal(200, (await FindAsync(run.Id)).Money.Cap);
    }

    [Fact]
    public async Task Sums_stop_at_the_largest_number()
    {
        var run = await CreateAndClaimAsync(NewRun() with { Tenant = "acme" });
        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Reserve("a", new Hold(long.MaxValue, 5)), new BudgetChange.Reserve("b", new Hold(long.MaxValue - 1, 5)), new BudgetChange.Reserve("b", new Hold(long.MaxValue, 5))] });
        Assert.Equal((long.MaxValue, 15), (run.Money.Held, run.Tokens.Held));

        run = await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Settle("a", new Usage(long.MaxValue, long.MaxValue, long.MaxValue)), new BudgetChange.Doubt("b")] });
        await CapTenantAsync("acme", LimitDimension.Steps, null);
        await AppendAsync(Unit(run) with { Budget = [new BudgetChange.Count(LimitDimension.Steps, long.MaxValue), new BudgetChange.Count(LimitDimension.Steps, long.MaxValue)] });

        Assert.Equal((new BudgetState(null, long.MaxValue, 0, long.MaxValue), new BudgetState(null, long.MaxValue, 0, 10)), (run.Money, run.Tokens));
        Assert.Equal(new BudgetState(null, long.MaxValue, 0, long.MaxValue), await MoneyAsync("tenant:acme"));
        Assert.Equal(long.MaxValue, (await LedgerAsync("tenant:acme"))[LimitDimension.Steps].Spent);
    }

    [Fact]
    public async Task No_hold_outlives_its_epoch_on_any_node()
    {
        var parent = await CreateAndClaimAsync(NewRun(usd: 100) with { Tenant = "acme", Caps = new Dictionary<LimitDimension, long> { [LimitDimension.InputTokens] = 50 } });
        var child = await SpawnAndClaimAsync(parent);
        await AppendAsync(Unit(child, Entry(EntryKind.StepStarted, "{}", "a")) with { Budget = [new BudgetChange.Reserve("a", new Hold(30, 9) { InputTokens = 7 })] });

        await ClaimAsync(child.Id, await RegisterAsync());

        foreach (var node in new[] { "tenant:acme", $"run:{parent.Id}", $"run:{child.Id}" })
            Assert.Equal((30, 0, 30), (await MoneyAsync(node)) is var money ? (money.Spent, money.Held, money.InDoubt) : default);
        Assert.Equal(new BudgetState(50, 7, 0, 7), (await LedgerAsync(parent))[LimitDimension.InputTokens]);
        Assert.Single(await WasteAsync(child.Id));
        Assert.Empty(await WasteAsync(parent.Id));
    }

    /// <summary>Two runs below a third, of one tenant, each doing anything: every node's ledger is the sum of what is below it, and no admission passes any cap.</summary>
    [Fact]
    public async Task The_ledgers_of_a_tree_are_right_after_any_sequence_of_changes()
    {
        await Gen.Select(Gen.Int[0, 2], Moves).Array[5, 30].Array[12].SampleAsync(sequences => Task.WhenAll(sequences.Select(FollowTreeAsync)), iter: 5, threads: 1);
    }

    private async Task FollowTreeAsync((int Run, Move Move)[] moves)
    {
        var tenant = Ids.NextRandom().ToString("N");
        await CapTenantAsync(tenant, LimitDimension.Tokens, 150);
        var root = await CreateAndClaimAsync(NewRun(usd: 100) with { Tenant = tenant });
        RunRecord[] runs = [root, await SpawnAndClaimAsync(root), await SpawnAndClaimAsync(root)];
        runs[0] = await FindAsync(root.Id);
        string[] nodes = [$"tenant:{tenant}", .. runs.Select(r => $"run:{r.Id}")];
        var money = new BudgetState[] { new(null, 0, 0, 0), new(100, 0, 0, 0), new(null, 0, 0, 0), new(null, 0, 0, 0) };
        var tokens = new BudgetState[] { new(150, 0, 0, 0), new(null, 0, 0, 0), new(null, 0, 0, 0), new(null, 0, 0, 0) };
        var holds = new Dictionary<(int Run, int Step), Hold>();
        foreach (var (run, move) in moves)
        {
            int[] path = run == 0 ? [0, 1] : [0, 1, run + 1];
            BudgetChange? change = null;
            switch (move)
            {
                case Move.Reserve(var step, var nano, var count) when !holds.ContainsKey((run, step)):
                    var fits = path.All(n => Fits(money[n], nano) && Fits(tokens[n], count));
                    var outcome = await Store.AppendAsync(Unit(runs[run]) with { Budget = [new BudgetChange.Reserve(Key(step), new Hold(nano, count))] }, default);
                    Assert.Equal(fits ? typeof(AppendOutcome.Committed) : typeof(AppendOutcome.Denied), outcome.GetType());
                    if (fits)
                    {
                        holds[(run, step)] = new Hold(nano, count);
                        Change(path, new Hold(-nano, -count), new Hold(0, 0), doubt: false);
                    }

                    break;
                case Move.Settle(var step, var nano, var count):
                    change = new BudgetChange.Settle(Key(step), new Usage(nano, count, 0));
                    if (holds.Remove((run, step), out var settled))
                        Change(path, settled, new Hold(nano, count), doubt: false);
                    break;
                case Move.Release(var step):
                    change = new BudgetChange.Release(Key(step));
                    if (holds.Remove((run, step), out var released))
                        Change(path, released, new Hold(0, 0), doubt: false);
                    break;
                case Move.Doubt(var step):
                    change = new BudgetChange.Doubt(Key(step));
                    if (holds.Remove((run, step), out var doubtful))
                        Change(path, doubtful, doubtful, doubt: true);
                    break;
                case Move.SetCap(var nano):
                    change = new BudgetChange.SetCap(LimitDimension.NanoUsd, nano);
                    money[path[^1]] = money[path[^1]] with { Cap = nano };
                    break;
                case Move.Crash:
                    runs[run] = await ClaimAsync(runs[run].Id);
                    foreach (var (key, lost) in holds.Where(h => h.Key.Run == run).ToList())
                    {
                        holds.Remove(key);
                        Change(path, lost, lost, doubt: true);
                    }

                    break;
            }

            if (change is not null)
                runs[run] = await AppendAsync(Unit(runs[run]) with { Budget = [change] });
            for (var n = 0; n < nodes.Length; n++)
            {
                var rows = await LedgerAsync(nodes[n]);
                Assert.Equal((n, money[n], tokens[n]), (n, rows[LimitDimension.NanoUsd], rows[LimitDimension.Tokens]));
            }
        }

        static string Key(int step) => step.ToString(CultureInfo.InvariantCulture);

        static bool Fits(BudgetState state, long wanted) => state.Cap is null || state.Spent + state.Held + wanted <= state.Cap;

        void Change(int[] path, Hold held, Hold spent, bool doubt)
        {
            foreach (var n in path)
            {
                money[n] = money[n] with { Held = money[n].Held - held.NanoUsd, Spent = money[n].Spent + spent.NanoUsd, InDoubt = money[n].InDoubt + (doubt ? spent.NanoUsd : 0) };
                tokens[n] = tokens[n] with { Held = tokens[n].Held - held.Tokens, Spent = tokens[n].Spent + spent.Tokens, InDoubt = tokens[n].InDoubt + (doubt ? spent.Tokens : 0) };
            }
        }
    }
}
