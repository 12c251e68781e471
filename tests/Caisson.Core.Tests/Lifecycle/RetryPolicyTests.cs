using Caisson.Contracts;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Tests.Lifecycle;

public sealed class RetryPolicyTests
{
    private static readonly RetrySettings Settings = new() { Attempts = 8, Elapsed = TimeSpan.FromMinutes(15) };

    [Theory]
    [InlineData(1, 200)]
    [InlineData(2, 400)]
    [InlineData(3, 800)]
    [InlineData(7, 12_800)]
    public void The_ceiling_doubles_with_each_attempt(int attempt, double ms)
    {
        var wait = RetryPolicy.Next(Settings, attempt, TimeSpan.Zero, null, new Fixed(1));

        Assert.Equal(TimeSpan.FromMilliseconds(ms), wait);
    }

    [Fact]
    public void No_wait_is_longer_than_a_minute()
    {
        var patient = Settings with { Attempts = 100, Elapsed = TimeSpan.FromDays(1) };

        for (var attempt = 9; attempt < 100; attempt++)
            Assert.InRange(RetryPolicy.Next(patient, attempt, TimeSpan.Zero, null, new Fixed(1))!.Value.TotalSeconds, 50, 60);
    }

    [Fact]
    public void The_wait_is_spread_over_the_whole_span()
    {
        Assert.Equal(TimeSpan.Zero, RetryPolicy.Next(Settings, 3, TimeSpan.Zero, null, new Fixed(0)));
        Assert.Equal(TimeSpan.FromMilliseconds(400), RetryPolicy.Next(Settings, 3, TimeSpan.Zero, null, new Fixed(0.5)));
    }

    [Fact]
    public void The_last_attempt_is_followed_by_none()
    {
        Assert.NotNull(RetryPolicy.Next(Settings, 7, TimeSpan.Zero, null, new Fixed(0)));
        Assert.Null(RetryPolicy.Next(Settings, 8, TimeSpan.Zero, null, new Fixed(0)));
        Assert.Null(RetryPolicy.Next(Settings with { Attempts = 1 }, 1, TimeSpan.Zero, null, new Fixed(0)));
    }

    [Fact]
    public void A_wait_that_would_end_after_the_time_is_not_begun()
    {
        var almost = Settings.Elapsed - TimeSpan.FromMilliseconds(200);

        Assert.NotNull(RetryPolicy.Next(Settings, 1, almost, null, new Fixed(1)));
        Assert.Null(RetryPolicy.Next(Settings, 1, almost + TimeSpan.FromTicks(1), null, new Fixed(1)));
    }

    [Fact]
    public void The_other_side_may_ask_for_more_but_not_for_less()
    {
        Assert.Equal(TimeSpan.FromSeconds(30), RetryPolicy.Next(Settings, 1, TimeSpan.Zero, TimeSpan.FromSeconds(30), new Fixed(1)));
        Assert.Equal(TimeSpan.FromMilliseconds(200), RetryPolicy.Next(Settings, 1, TimeSpan.Zero, TimeSpan.FromMilliseconds(1), new Fixed(1)));
        Assert.Null(RetryPolicy.Next(Settings, 1, TimeSpan.Zero, TimeSpan.FromHours(1), new Fixed(1)));
    }

    /// <summary>Throttled calls do not count as attempts, so the first wait may come before any attempt that does.</summary>
    [Fact]
    public void Before_the_first_attempt_that_counts_the_wait_is_that_of_the_first()
    {
        Assert.Equal(TimeSpan.FromMilliseconds(200), RetryPolicy.Next(Settings, 0, TimeSpan.Zero, null, new Fixed(1)));
    }

    private sealed class Fixed(double value) : Random(0)
    {
        public override double NextDouble() => value;
    }
}
