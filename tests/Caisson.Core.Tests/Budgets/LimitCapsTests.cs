using System.Reflection;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Tests.Budgets;

public sealed class LimitCapsTests
{
    public static TheoryData<LimitDimension> Dimensions => [.. Enum.GetValues<LimitDimension>()];

    [Theory]
    [MemberData(nameof(Dimensions))]
    public void A_raise_of_one_limit_is_read_back_and_touches_no_other(LimitDimension dimension)
    {
        var raise = LimitCaps.Raise(dimension, 60_000);
        var limits = LimitCaps.None.With(raise);

        foreach (var any in Enum.GetValues<LimitDimension>())
        {
            Assert.Equal(any == dimension ? 60_000 : null, raise.Cap(any));
            Assert.Equal(any == dimension ? 60_000 : null, limits.Cap(any));
        }
    }

    [Theory]
    [MemberData(nameof(Dimensions))]
    public void A_later_raise_counts_and_an_earlier_one_of_another_limit_stays(LimitDimension dimension)
    {
        var everything = Enum.GetValues<LimitDimension>().Aggregate(new RaisedLimits(LoopRepeats: 3), (all, d) => all.With(LimitCaps.Raise(d, 1_000)));

        var later = everything.With(LimitCaps.Raise(dimension, 5_000));

        foreach (var any in Enum.GetValues<LimitDimension>())
            Assert.Equal(any == dimension ? 5_000 : 1_000, later.Cap(any));
        Assert.Equal(3, later.LoopRepeats);
        Assert.Equal(9, later.With(new RaisedLimits(LoopRepeats: 9)).LoopRepeats);
    }

    /// <summary>A field that is added to the record and forgotten here would be lost at the second raise of a run.</summary>
    [Fact]
    public void No_field_of_a_raise_is_forgotten()
    {
        foreach (var property in typeof(RaisedLimits).GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            object value = property.PropertyType == typeof(TimeSpan?) ? TimeSpan.FromSeconds(7) : property.PropertyType == typeof(int?) ? (object)7 : 7L;
            var one = new RaisedLimits();
            property.SetValue(one, value);

            Assert.True(one == new RaisedLimits().With(one), property.Name);
            Assert.True(one == one.With(new RaisedLimits()), property.Name);
        }
    }

    [Theory]
    [MemberData(nameof(Dimensions))]
    public void Every_limit_has_a_flag_of_its_own(LimitDimension dimension)
    {
        var flags = Enum.GetValues<LimitDimension>().Where(d => LimitFlags.Of(d) == LimitFlags.Of(dimension));

        Assert.Equal([dimension], flags);
        Assert.StartsWith("--", LimitFlags.Of(dimension), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(LimitDimension.NanoUsd, 2_500_000_000, "$2.50")]
    [InlineData(LimitDimension.Deadline, 7_200_000, "2h")]
    [InlineData(LimitDimension.NoProgress, 90_000, "90s")]
    [InlineData(LimitDimension.Steps, 1_000, "1000")]
    public void A_cap_is_written_as_people_write_it(LimitDimension dimension, long cap, string text)
    {
        Assert.Equal(text, LimitCaps.Text(dimension, cap));
    }

    [Fact]
    public void A_raise_changes_the_rows_that_a_node_has()
    {
        var everything = Enum.GetValues<LimitDimension>().Aggregate(new RaisedLimits(LoopRepeats: 3), (all, d) => all.With(LimitCaps.Raise(d, 1_000)));

        Assert.Empty(LimitCaps.SetCaps(new RaisedLimits(Deadline: TimeSpan.FromHours(1), LoopRepeats: 9)));
        Assert.Equal([new BudgetChange.SetCap(LimitDimension.ToolCalls, 5)], LimitCaps.SetCaps(new RaisedLimits(ToolCalls: 5)));
        Assert.Equal(
            [.. Enum.GetValues<LimitDimension>().Where(d => d is not (LimitDimension.Deadline or LimitDimension.NoProgress)).Select(d => new BudgetChange.SetCap(d, 1_000))],
            LimitCaps.SetCaps(everything));
    }
}
