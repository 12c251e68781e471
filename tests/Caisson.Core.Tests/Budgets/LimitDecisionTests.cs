using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using CsCheck;

namespace Caisson.Core.Tests.Budgets;

public sealed class LimitDecisionTests
{
    private const string Own = "run:own";

    [Fact]
    public void Pause_and_stop_are_what_they_say_at_every_limit()
    {
        foreach (var dimension in Enum.GetValues<LimitDimension>())
        {
            foreach (var node in new[] { Own, "tenant:t" })
            {
                Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.Pause, At(dimension, node), Own, false));
                Assert.Equal(LimitAnswer.Stop, LimitDecision.Of(LimitPolicy.Stop, At(dimension, node), Own, false));
                Assert.Equal(LimitAnswer.Stop, LimitDecision.Of(LimitPolicy.Stop, At(dimension, node), Own, true));
            }
        }
    }

    [Fact]
    public void A_run_wraps_up_once_and_pauses_when_not_even_that_is_to_be_had()
    {
        Assert.Equal(LimitAnswer.WrapUp, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.Tokens), Own, false));
        Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.Tokens), Own, true));
    }

    [Theory]
    [InlineData(LimitDimension.Deadline)]
    [InlineData(LimitDimension.NoProgress)]
    public void When_the_time_is_over_there_is_no_last_call(LimitDimension dimension)
    {
        Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.WrapUp, At(dimension), Own, false));
    }

    [Fact]
    public void Every_limit_but_time_can_be_wrapped_up()
    {
        foreach (var dimension in Enum.GetValues<LimitDimension>().Where(d => d is not (LimitDimension.Deadline or LimitDimension.NoProgress)))
            Assert.Equal(LimitAnswer.WrapUp, LimitDecision.Of(LimitPolicy.WrapUp, At(dimension), Own, false));
    }

    [Fact]
    public void Above_the_run_no_call_is_kept_back_for_it()
    {
        Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.Steps, "run:root"), Own, false));
        Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.ModelCalls, "run:root"), Own, false));
        Assert.Equal(LimitAnswer.WrapUp, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.ToolCalls, "run:root"), Own, false));
        Assert.Equal(LimitAnswer.WrapUp, LimitDecision.Of(LimitPolicy.WrapUp, At(LimitDimension.NanoUsd, "run:root"), Own, false));

        // Others have it under way, and what they do not use of it comes back.
        Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.WrapUp, new LimitDenial("run:root", LimitDimension.NanoUsd, 10, 1, 9, 1), Own, false));
    }

    [Fact]
    public void A_person_is_asked_about_the_runs_own_limits_only()
    {
        foreach (var dimension in Enum.GetValues<LimitDimension>())
        {
            Assert.Equal(LimitAnswer.Ask, LimitDecision.Of(LimitPolicy.Ask, At(dimension), Own, false));
            Assert.Equal(LimitAnswer.Pause, LimitDecision.Of(LimitPolicy.Ask, At(dimension, "tenant:t"), Own, false));
        }
    }

    [Fact]
    public void A_yes_grants_as_much_again()
    {
        var manifest = new LimitSettings { NanoUsd = 2_000_000_000, Steps = 60 };
        var money = new LimitDenial(Own, LimitDimension.NanoUsd, 2_000_000_000, 1_900_000_000, 0, 200_000_000);
        var second = new LimitDenial(Own, LimitDimension.NanoUsd, 4_000_000_000, 3_900_000_000, 0, 200_000_000);

        Assert.Equal(new RaisedLimits(NanoUsd: 4_000_000_000), LimitQuestion.OnYes(money, manifest, TimeSpan.Zero));
        Assert.Equal(new RaisedLimits(NanoUsd: 6_000_000_000), LimitQuestion.OnYes(second, manifest, TimeSpan.Zero));
        Assert.Equal(new RaisedLimits(Steps: 120), LimitQuestion.OnYes(new LimitDenial(Own, LimitDimension.Steps, 60, 60, 0, 1), manifest, TimeSpan.Zero));
        Assert.EndsWith($"({Own}). Raise the limit to $4.00?", LimitQuestion.Text(money, manifest), StringComparison.Ordinal);
    }

    [Fact]
    public void A_yes_to_a_deadline_counts_from_the_answer()
    {
        var manifest = new LimitSettings { Deadline = TimeSpan.FromHours(2) };
        var denial = new LimitDenial(Own, LimitDimension.Deadline, 7_200_000, 7_200_500, 0, 0);

        var raised = LimitQuestion.OnYes(denial, manifest, TimeSpan.FromHours(50));

        Assert.Equal(new RaisedLimits(Deadline: TimeSpan.FromHours(52)), raised);
        Assert.EndsWith("May it take 2h more, from your answer on?", LimitQuestion.Text(denial, manifest), StringComparison.Ordinal);
    }

    [Fact]
    public void No_progress_asks_without_a_raise()
    {
        var denial = new LimitDenial(Own, LimitDimension.NoProgress, 1_000, 2_000, 0, 0);

        Assert.Equal(new RaisedLimits(), LimitQuestion.OnYes(denial, new LimitSettings { NoProgress = TimeSpan.FromSeconds(1) }, TimeSpan.Zero));
        Assert.EndsWith("May it go on?", LimitQuestion.Text(denial, new LimitSettings()), StringComparison.Ordinal);
    }

    /// <summary>Otherwise a yes would be answered by the same question.</summary>
    [Fact]
    public void What_was_denied_fits_after_a_yes()
    {
        var amount = Gen.Long[0, long.MaxValue / 4];
        var dimensions = Enum.GetValues<LimitDimension>().Where(d => d is not (LimitDimension.Deadline or LimitDimension.NoProgress)).ToArray();
        Gen.Select(Gen.Int[0, dimensions.Length - 1].Select(i => dimensions[i]), Gen.Select(amount, amount, amount, amount), Gen.Long[0, long.MaxValue].Nullable()).Sample((dimension, numbers, cap) =>
        {
            var (limit, spent, held, wanted) = numbers;
            var denial = new LimitDenial(Own, dimension, limit, spent, held, wanted);
            var manifest = new LimitSettings().With(LimitCaps.Raise(dimension, cap ?? limit));

            var raised = LimitQuestion.OnYes(denial, manifest, TimeSpan.Zero).Cap(dimension);

            return raised > limit && spent + held + wanted <= raised;
        }, iter: 5_000);
    }

    private static LimitDenial At(LimitDimension dimension, string node = Own) => new(node, dimension, 1, 1, 0, 1);
}
