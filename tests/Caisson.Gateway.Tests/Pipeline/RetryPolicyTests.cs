using Caisson.Contracts;
using Caisson.Gateway.Providers;
using CsCheck;

namespace Caisson.Gateway.Tests.Pipeline;

public sealed class RetryPolicyTests
{
    private static readonly RetrySettings Settings = new();

    [Fact]
    public void Waits_double_from_200_ms_to_a_minute_with_full_jitter()
    {
        var longest = Enumerable.Range(1, 12).Select(n => Next(RetryClass.Throttled, n, 0, dice: 1)!.Value.TotalSeconds);
        Assert.Equal([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60, 60], longest.Select(s => Math.Round(s, 3)));
        Assert.Equal(TimeSpan.Zero, Next(RetryClass.Counted, 5, 5, dice: 0));
    }

    [Fact]
    public void What_the_provider_asks_is_waited_up_to_five_minutes()
    {
        Assert.Equal(TimeSpan.FromSeconds(30.2), Next(RetryClass.Throttled, 1, 0, 1, TimeSpan.FromSeconds(30)));
        Assert.Equal(TimeSpan.FromMinutes(5), Next(RetryClass.Throttled, 1, 0, 0, TimeSpan.FromDays(9)));
        Assert.Equal(TimeSpan.Zero, Next(RetryClass.Throttled, 1, 0, 0, TimeSpan.FromSeconds(-50)));
    }

    [Fact]
    public void Nothing_is_tried_more_often_or_longer_than_the_settings_say() =>
        Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40], Gen.Double[0, 1], Gen.Int[0, 2_000], Gen.Enum<RetryClass>()).Sample((throttled, counted, dice, elapsed, kind) =>
        {
            var passed = TimeSpan.FromSeconds(elapsed);
            var wait = RetryPolicy.Next(Settings, Failed(kind, null), throttled + counted + 1, counted, passed, dice);
            return wait is null
                ? kind == RetryClass.Never || (kind == RetryClass.Counted && counted >= 8) || passed + TimeSpan.FromMinutes(1) > Settings.Elapsed
                : kind != RetryClass.Never && wait >= TimeSpan.Zero && passed + wait <= Settings.Elapsed && (kind == RetryClass.Throttled || counted < 8);
        });

    private static TimeSpan? Next(RetryClass kind, int failures, int counted, double dice, TimeSpan? asked = null) =>
        RetryPolicy.Next(Settings, Failed(kind, asked), failures, counted, TimeSpan.Zero, dice);

    private static UpstreamReply.Failed Failed(RetryClass kind, TimeSpan? asked) =>
        new(new Failure(ErrorCodes.ProviderFailed, "x"), kind, RetryAfter: asked);
}
