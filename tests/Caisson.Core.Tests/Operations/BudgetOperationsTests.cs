using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Operations;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Operations;

public sealed class BudgetOperationsTests
{
    private readonly OperationsRig _rig = new();

    private RunOperations Operations => _rig.Operations;

    [Fact]
    public async Task A_run_s_budget_shows_its_ledger_and_what_its_owner_counts()
    {
        var journal = TestJournal.Begin(TestJournal.Code with { Limits = new LimitSettings { Steps = 50, Deadline = TimeSpan.FromHours(1) } })
            .Add(new EntryBody.LimitRaised(new RaisedLimits(Steps: 80), "me"));
        var run = await _rig.PutAsync(journal, RunStatus.Paused, PauseCause.Operator, new RunSummary { Steps = 4, ToolCalls = 2 },
            r => r with { NanoUsdCap = 2_000_000_000 }, [new BudgetChange.Reserve("a", new Hold(500_000_000, 100)), new BudgetChange.Reserve("b", new Hold(250_000_000, 10)), new BudgetChange.Doubt("b")]);
        _rig.Clock.Advance(TimeSpan.FromSeconds(90));

        var budget = Assert.IsType<BudgetOutcome.Found>(await Operations.RunBudgetAsync(run, default)).Budget;

        Assert.Equal(($"run:{run}", "tenant:default"), (budget.Node, budget.Path[0]));
        Assert.Equal(2, budget.Path.Count);
        Assert.Equal(
            [("usd", "2.00", "0.25", "0.50", "0.25"), ("tokens", null, "10", "100", "10"), ("steps", "80", "4", "0", "0"), ("tool_calls", null, "2", "0", "0"), ("deadline", "1h", "90s", "0ms", "0ms")],
            budget.Rows.Select(r => (r.Dimension, r.Cap, r.Spent, r.Held, r.InDoubt)));
    }

    [Fact]
    public async Task A_child_s_path_leads_over_its_parents()
    {
        var root = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Waiting);
        var child = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Waiting, change: r => r with { Parent = root, Depth = 1 });

        Assert.Equal(["tenant:default", $"run:{root}", $"run:{child}"], Assert.IsType<BudgetOutcome.Found>(await Operations.RunBudgetAsync(child, default)).Budget.Path);
    }

    [Fact]
    public async Task A_tenant_s_caps_are_set_and_lifted()
    {
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.SetTenantCapsAsync("default", Caps(("usd", "1.5"), ("tokens", "100")), default));
        Assert.Equal(["1.50", "100"], await CapsAsync("usd", "tokens"));

        await Operations.SetTenantCapsAsync("default", Caps(("usd", "none")), default);
        Assert.Equal([null, "100"], await CapsAsync("usd", "tokens"));

        async Task<IEnumerable<string?>> CapsAsync(params string[] names)
        {
            var rows = Assert.IsType<BudgetOutcome.Found>(await Operations.TenantBudgetAsync("default", default)).Budget.Rows;
            return names.Select(name => rows.Single(r => r.Dimension == name).Cap);
        }
    }

    [Fact]
    public async Task A_tenant_that_nobody_named_has_an_empty_budget() =>
        Assert.Empty(Assert.IsType<BudgetOutcome.Found>(await Operations.TenantBudgetAsync("new", default)).Budget.Rows);

    [Theory]
    [InlineData("usd", "0", "an amount")]
    [InlineData("usd", "0.0000000001", "an amount")]
    [InlineData("usd", "-1", "an amount")]
    [InlineData("tokens", "1.5", "a positive whole number")]
    [InlineData("steps", "0", "a positive whole number")]
    [InlineData("deadline", "1h", "a tenant has none")]
    [InlineData("deadline", "soon", "a time")]
    [InlineData("beer", "1", "allowed are usd, tokens, steps, tool_calls, deadline")]
    public async Task A_cap_that_makes_no_sense_is_refused_and_changes_nothing(string dimension, string cap, string says)
    {
        var refused = RunOperationsTests.Refused(await Operations.SetTenantCapsAsync("default", Caps((dimension == "tokens" ? "steps" : "tokens", "5"), (dimension, cap)), default));

        Assert.Equal(ErrorCodes.RequestInvalid, refused.Code);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.Empty(Assert.IsType<BudgetOutcome.Found>(await Operations.TenantBudgetAsync("default", default)).Budget.Rows);
    }

    [Fact]
    public async Task Nothing_to_set_and_a_bad_name_are_refused()
    {
        Assert.Equal(ErrorCodes.RequestInvalid, RunOperationsTests.Refused(await Operations.SetTenantCapsAsync("default", Caps(), default)).Code);
        Assert.Equal(ErrorCodes.RequestInvalid, RunOperationsTests.Refused(await Operations.SetTenantCapsAsync("a:b", Caps(("usd", "1")), default)).Code);
        Assert.Equal(ErrorCodes.RequestInvalid, Assert.IsType<BudgetOutcome.Refused>(await Operations.TenantBudgetAsync("", default)).Failure.Code);
    }

    [Fact]
    public async Task A_run_s_caps_go_through_its_inbox()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Paused, PauseCause.Budget);

        await Operations.SetRunCapsAsync(run, Caps(("usd", "0.5"), ("steps", "9"), ("deadline", "2h")), "ann", default);

        Assert.Equal((InputKind.Raise, """{"by":"ann","raise":{"nano_usd":500000000,"steps":9,"deadline":"02:00:00"}}"""), Assert.Single(await _rig.InboxAsync(run)));
    }

    [Fact]
    public async Task A_run_s_cap_is_not_lifted_and_money_needs_a_price()
    {
        var loop = await _rig.PutAsync(TestJournal.Begin(new AgentManifest { Name = "agent", Loop = new LoopSettings("mock/x", "Answer.", []) }), RunStatus.Waiting);

        Assert.Equal(ErrorCodes.RequestInvalid, RunOperationsTests.Refused(await Operations.SetRunCapsAsync(loop, Caps(("tokens", "none")), null, default)).Code);
        Assert.Equal(ErrorCodes.ModelUnpriced, RunOperationsTests.Refused(await Operations.SetRunCapsAsync(loop, Caps(("usd", "1")), null, default)).Code);
        _rig.Models.Priced = true;
        Assert.Equal(new OperationOutcome.Accepted(), await Operations.SetRunCapsAsync(loop, Caps(("usd", "1")), null, default));
    }

    [Fact]
    public async Task Waste_is_listed_with_its_cause()
    {
        var run = await _rig.PutAsync(TestJournal.Begin(), RunStatus.Paused, PauseCause.Operator, budget: [new BudgetChange.Reserve("b", new Hold(250_000_000, 10)), new BudgetChange.Doubt("b")]);

        var row = Assert.Single((await Operations.WasteAsync(run, default))!.Items);
        Assert.Equal(("b", 1L, "0.25", 10L), (row.Step, row.Epoch, row.Usd, row.Tokens));
    }

    private static Dictionary<string, string> Caps(params (string Dimension, string Cap)[] caps) => caps.ToDictionary(c => c.Dimension, c => c.Cap);
}
