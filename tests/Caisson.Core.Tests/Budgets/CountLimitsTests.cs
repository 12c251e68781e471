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
    }

    [Fact]
    public void No_limit_denies_nothing()
    {
        var none = CountLimits.Of(Run, new LimitSettings { Steps = null }, new RaisedLimits(), Start);

        Assert.Null(none.Check(StepKind.Tool, long.MaxValue - 1, long.MaxValue - 1, DateTimeOffset.MaxValue));
    }

    [Fact]
    public void A_denial_is_one_line_with_what_is_gone()
    {
        var money = new LimitDenial("run:x", LimitDimension.NanoUsd, 50_000_000, 49_000_000, 500_000, 1_000_000);

        Assert.Equal("money: $0.049 spent and $0.0005 held of $0.05, the next call may cost up to $0.001 (run:x)", money.Text());
        foreach (var dimension in Enum.GetValues<LimitDimension>())
            Assert.DoesNotContain('\n', new LimitDenial("run:x", dimension, 1, 2, 3, 4).Text());
    }
}
