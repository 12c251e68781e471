using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using CsCheck;

namespace Caisson.Core.Tests.Lifecycle;

public sealed class RetryPolicyTests
{
    private static readonly RetrySettings Settings = new() { Attempts = 8, Elapsed = TimeSpan.FromMinutes(15) };

    [Fact]
    public void Waits_double_from_200_ms_to_a_minute_with_full_jitter()
    {
        var longest = Enumerable.Range(1, 12).Select(n => Next(failures: n, counted: 0, dice: 1)!.Value.TotalSeconds);

        Assert.Equal([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60, 60], longest.Select(s => Math.Round(s, 3)));
        Assert.Equal(TimeSpan.Zero, Next(failures: 5, counted: 5, dice: 0));
        Assert.Equal(TimeSpan.FromMilliseconds(400), Next(failures: 3, counted: 3, dice: 0.5));
    }

    [Fact]
    public void The_last_attempt_is_followed_by_none()
    {
        Assert.NotNull(Next(failures: 7, counted: 7, dice: 0));
        Assert.Null(Next(failures: 8, counted: 8, dice: 0));
    }

    [Fact]
    public void Being_throttled_uses_up_no_attempts() => Assert.NotNull(Next(failures: 50, counted: 7, dice: 0));

    [Fact]
    public void A_wait_that_would_end_after_the_time_is_not_begun()
    {
        var almost = Settings.Elapsed - TimeSpan.FromMilliseconds(200);

        Assert.NotNull(RetryPolicy.Next(Settings, 1, 1, almost, null, 1));
        Assert.Null(RetryPolicy.Next(Settings, 1, 1, almost + TimeSpan.FromTicks(1), null, 1));
    }

    [Fact]
    public void What_the_other_side_asks_is_waited_up_to_five_minutes()
    {
        Assert.Equal(TimeSpan.FromSeconds(30.2), Next(1, 0, 1, TimeSpan.FromSeconds(30)));
        Assert.Equal(TimeSpan.FromMinutes(5), Next(1, 0, 0, TimeSpan.FromDays(9)));
        Assert.Equal(TimeSpan.Zero, Next(1, 0, 0, TimeSpan.FromSeconds(-50)));
    }

    [Fact]
    public void Nothing_is_tried_more_often_or_longer_than_the_settings_say() =>
        Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40], Gen.Double[0, 1], Gen.Int[0, 2_000]).Sample((throttled, counted, dice, elapsed) =>
        {
            var passed = TimeSpan.FromSeconds(elapsed);
            var wait = RetryPolicy.Next(Settings, throttled + counted + 1, counted, passed, null, dice);
            return wait is null
                ? counted >= Settings.Attempts || passed + TimeSpan.FromMinutes(1) > Settings.Elapsed
                : counted < Settings.Attempts && wait >= TimeSpan.Zero && passed + wait <= Settings.Elapsed;
        });

    private static TimeSpan? Next(int failures, int counted, double dice, TimeSpan? asked = null) =>
        RetryPolicy.Next(Settings, failures, counted, TimeSpan.Zero, asked, dice);
}
