using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;

namespace Caisson.Core.Tests.Budgets;

public sealed class CountLimitsTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(55);
    private static readonly RunId Run = RunId.Parse("01980000-0000-7000-8000-000000000001");
    private static readonly LimitSettings Manifest = new() { Steps = 3, ToolCalls = 2, Deadline = TimeSpan.FromMinutes(1) };

    private static readonly CountLimits Limits = CountLimits.Of(Run, Manifest, new RaisedLimits(), Start);

    [Fact]
    public void The_last_step_within_the_limit_is_admitted_and_the_next_is_not()
    {
        Assert.Null(Limits.Check(StepKind.Model, 2, 0, Start));

        Assert.Equal(new LimitDenial($"run:{Run}", LimitDimension.Steps, 3, 3, 0, 1), Limits.Check(StepKind.Model, 3, 0, Start));
    }

    [Fact]
    public void Only_tools_count_as_tool_calls()
    {
        Assert.Null(Limits.Check(StepKind.Model, 2, 2, Start));
        Assert.Null(Limits.Check(StepKind.Named, 2, 2, Start));
        Assert.Null(Limits.Check(StepKind.Tool, 2, 1, Start));
        Assert.Equal(LimitDimension.ToolCalls, Limits.Check(StepKind.Tool, 2, 2, Start)?.Dimension);
    }

    [Fact]
    public void Only_models_count_as_model_calls()
    {
        var limits = CountLimits.Of(Run, new LimitSettings { ModelCalls = 2 }, new RaisedLimits(), Start);

        Assert.Null(limits.Check(StepKind.Model, 9, 9, 1, Start));
        Assert.Null(limits.Check(StepKind.Tool, 9, 9, 2, Start));
        Assert.Null(limits.Check(StepKind.Named, 9, 9, 2, Start));
        Assert.Equal(new LimitDenial($"run:{Run}", LimitDimension.ModelCalls, 2, 2, 0, 1), limits.Check(StepKind.Model, 9, 9, 2, Start));
    }

    [Fact]
    public void A_child_needs_room_in_depth_in_its_parents_life_and_beside_its_siblings()
    {
        var limits = CountLimits.Of(Run, new LimitSettings { Children = 5, ChildBreadth = 2, ChildDepth = 3 }, new RaisedLimits(), Start);

        Assert.Null(limits.CheckChild(alive: 1, lifetime: 4, depth: 2));
        Assert.Equal(new LimitDenial($"run:{Run}", LimitDimension.ChildBreadth, 2, 0, 2, 1), limits.CheckChild(2, 4, 2));
        Assert.Equal(new LimitDenial($"run:{Run}", LimitDimension.Children, 5, 5, 0, 1), limits.CheckChild(1, 5, 2));
        Assert.Equal(new LimitDenial($"run:{Run}", LimitDimension.ChildDepth, 3, 3, 0, 1), limits.CheckChild(1, 4, 3));
    }

    [Fact]
    public void Children_are_bounded_by_default_and_none_can_be_asked_for()
    {
        var byDefault = CountLimits.Of(Run, new LimitSettings(), new RaisedLimits(), Start);
        var none = CountLimits.Of(Run, new LimitSettings { Children = 0 }, new RaisedLimits(), Start);

        Assert.Null(byDefault.CheckChild(63, 999, 7));
        Assert.Equal(LimitDimension.ChildBreadth, byDefault.CheckChild(64, 999, 7)?.Dimension);
        Assert.Equal(LimitDimension.Children, byDefault.CheckChild(63, 1_000, 7)?.Dimension);
        Assert.Equal(LimitDimension.ChildDepth, byDefault.CheckChild(63, 999, 8)?.Dimension);
        Assert.Equal(LimitDimension.Children, none.CheckChild(0, 0, 0)?.Dimension);
        Assert.Null(CountLimits.Of(Run, LimitCaps.None, new RaisedLimits(), Start).CheckChild(1_000_000, 1_000_000, 1_000_000));
    }

    [Fact]
    public void A_step_counts_as_a_step_and_as_what_it_is()
    {
        Assert.Equal([LimitDimension.Steps, LimitDimension.ModelCalls], CountLimits.CountsOf(StepKind.Model));
        Assert.Equal([LimitDimension.Steps, LimitDimension.ToolCalls], CountLimits.CountsOf(StepKind.Tool));
        Assert.Equal([LimitDimension.Steps], CountLimits.CountsOf(StepKind.Named));
    }

    /// <summary>Money and tokens have rows in any case, times have none.</summary>
    [Fact]
    public void A_runs_node_has_rows_for_what_it_caps()
    {
        var some = CountLimits.CapsOf(LimitCaps.None with { NanoUsd = 1, Tokens = 2, InputTokens = 3, ToolCalls = 4, Deadline = TimeSpan.FromHours(1) });
        var all = Enum.GetValues<LimitDimension>().Aggregate(LimitCaps.None, (limits, d) => limits.With(LimitCaps.Raise(d, 1_000)));

        Assert.Equal(new Dictionary<LimitDimension, long> { [LimitDimension.InputTokens] = 3, [LimitDimension.ToolCalls] = 4 }, some);
        Assert.Equal(8, CountLimits.CapsOf(all).Count);
        Assert.Empty(CountLimits.CapsOf(LimitCaps.None));
    }

    [Fact]
    public void A_run_that_wraps_up_keeps_one_step_and_one_call_back()
    {
        var full = CountLimits.Of(Run, new LimitSettings { Steps = 60, ModelCalls = 30, ToolCalls = 40, OnLimit = LimitPolicy.WrapUp }, new RaisedLimits(), Start);

        var less = full.Less(WrapUpReserve.Of(new LimitSettings { OnLimit = LimitPolicy.WrapUp }, 0));

        Assert.Equal(full with { Steps = 59, ModelCalls = 29 }, less);
    }

    [Fact]
    public void No_progress_is_over_when_its_time_has_passed_since_the_last_step()
    {
        var limits = CountLimits.Of(Run, new LimitSettings { NoProgress = TimeSpan.FromMinutes(10) }, new RaisedLimits(), Start);

        Assert.Null(limits.NoProgressDenial(Start.AddHours(1), Start.AddHours(1).AddMinutes(10).AddTicks(-1)));
        var denial = limits.NoProgressDenial(Start.AddHours(1), Start.AddHours(1).AddMinutes(11));

        Assert.Equal((LimitDimension.NoProgress, 600_000L, 660_000L), (denial!.Dimension, denial.Cap, denial.Spent));
        Assert.Equal($"no progress: 11m without a completed step, at most 10m are allowed (run:{Run})", denial.Text());
        Assert.Null(Limits.NoProgressDenial(Start, DateTimeOffset.MaxValue));
    }

    /// <summary>Where only other work under way stands in the way, waiting helps; a run must not pause for it.</summary>
    [Theory]
    [InlineData(LimitDimension.ChildBreadth, 2, 0, 2, 1, true)]
    [InlineData(LimitDimension.Steps, 3, 2, 1, 1, true)]
    [InlineData(LimitDimension.Steps, 3, 3, 0, 1, false)]
    [InlineData(LimitDimension.NanoUsd, 100, 60, 30, 40, true)]
    [InlineData(LimitDimension.NanoUsd, 100, 61, 30, 40, false)]
    [InlineData(LimitDimension.Tokens, long.MaxValue, long.MaxValue, 0, long.MaxValue, false)]
    [InlineData(LimitDimension.Deadline, 100, 100, 0, 0, false)]
    [InlineData(LimitDimension.NoProgress, 100, 100, 0, 0, false)]
    public void A_denial_that_holds_alone_stand_behind_frees_itself(LimitDimension dimension, long cap, long spent, long held, long wanted, bool frees)
    {
        Assert.Equal(frees, new LimitDenial("run:x", dimension, cap, spent, held, wanted).FreesItself());
    }

    [Theory]
    [InlineData(LimitDimension.Deadline, ErrorCodes.DeadlineExceeded)]
    [InlineData(LimitDimension.NanoUsd, ErrorCodes.BudgetExceeded)]
    [InlineData(LimitDimension.ModelCalls, ErrorCodes.BudgetExceeded)]
    [InlineData(LimitDimension.NoProgress, ErrorCodes.BudgetExceeded)]
    public void A_stop_at_a_limit_has_its_code(LimitDimension dimension, string code)
    {
        var denial = new LimitDenial("run:x", dimension, 1, 2, 0, 1);

        Assert.Equal(new Failure(code, denial.Text()), denial.Failure());
    }

    [Fact]
    public void The_deadline_is_over_when_it_is_reached()
    {
        Assert.Null(Limits.Check(StepKind.Model, 0, 0, Start.AddMinutes(1).AddTicks(-1)));

        var denial = Limits.Check(StepKind.Model, 0, 0, Start.AddMinutes(1).AddSeconds(5));

        Assert.Equal((LimitDimension.Deadline, 60_000L, 65_000L), (denial!.Dimension, denial.Cap, denial.Spent));
        Assert.Contains("1m", denial.Text(), StringComparison.Ordinal);
    }

    [Fact]
    public void Raised_limits_count_in_place_of_the_manifests()
    {
        var raised = CountLimits.Of(Run, Manifest, new RaisedLimits(Steps: 5, ToolCalls: 9, Deadline: TimeSpan.FromHours(1)), Start);

        Assert.Null(raised.Check(StepKind.Tool, 4, 8, Start.AddMinutes(59)));
        Assert.Equal(LimitDimension.Steps, raised.Check(StepKind.Tool, 5, 8, Start)?.Dimension);

        var others = CountLimits.Of(Run, Manifest, new RaisedLimits { ModelCalls = 1, Children = 2, ChildBreadth = 3, ChildDepth = 4, NoProgress = TimeSpan.FromSeconds(5) }, Start);
        Assert.Equal((1L, 2L, 3L, 4L, TimeSpan.FromSeconds(5)), (others.ModelCalls, others.Children, others.ChildBreadth, others.ChildDepth, others.NoProgress));
    }

    [Fact]
    public void No_limit_denies_nothing()
    {
        var none = CountLimits.Of(Run, new LimitSettings { Steps = null }, new RaisedLimits(), Start);

        Assert.Null(none.Check(StepKind.Tool, long.MaxValue, long.MaxValue, long.MaxValue, DateTimeOffset.MaxValue));
        Assert.Null(none.Check(StepKind.Model, long.MaxValue, long.MaxValue, long.MaxValue, DateTimeOffset.MaxValue));
    }

    [Fact]
    public void A_denial_is_one_line_with_what_is_gone()
    {
        var money = new LimitDenial("run:x", LimitDimension.NanoUsd, 50_000_000, 49_000_000, 500_000, 1_000_000);

        Assert.Equal("money: $0.049 spent and $0.0005 held of $0.05, the next call may cost up to $0.001 (run:x)", money.Text());
        Assert.Equal("output tokens: 5 used and 6 held of 10, the next call may use up to 7 (run:x)", new LimitDenial("run:x", LimitDimension.OutputTokens, 10, 5, 6, 7).Text());
        Assert.Equal("steps: 3 of 4 done, 1 under way (run:x)", new LimitDenial("run:x", LimitDimension.Steps, 4, 3, 1, 1).Text());
        Assert.Equal("model calls: 4 of 4 done (run:x)", new LimitDenial("run:x", LimitDimension.ModelCalls, 4, 4, 0, 1).Text());
        Assert.Equal("child breadth: 2 children alive of at most 2 (run:x)", new LimitDenial("run:x", LimitDimension.ChildBreadth, 2, 0, 2, 1).Text());
        Assert.Equal("child depth: a child would stand 9 generations below the root, of at most 8 (run:x)", new LimitDenial("run:x", LimitDimension.ChildDepth, 8, 8, 0, 1).Text());
        foreach (var dimension in Enum.GetValues<LimitDimension>())
            Assert.Matches("^[a-z ]+: [^\n]* \\(run:x\\)$", new LimitDenial("run:x", dimension, 1, 2, 3, 4).Text());
    }
}
