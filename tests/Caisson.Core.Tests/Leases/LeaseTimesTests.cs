using Caisson.Core.Leases;

namespace Caisson.Core.Tests.Leases;

public sealed class LeaseTimesTests
{
    private static readonly TimeSpan Renewed = TimeSpan.FromSeconds(100);

    [Theory]
    [InlineData(0, LeaseState.Live)]
    [InlineData(3.999, LeaseState.Live)]
    [InlineData(4, LeaseState.Suspect)]
    [InlineData(63.999, LeaseState.Suspect)]
    [InlineData(64, LeaseState.Fenced)]
    [InlineData(10_000, LeaseState.Fenced)]
    public void It_is_live_then_suspect_then_fenced(double secondsLater, LeaseState expected)
    {
        Assert.Equal(expected, new LeaseTimes(Renewed, Refused: false).At(Renewed + TimeSpan.FromSeconds(secondsLater)));
    }

    [Fact]
    public void A_refused_lease_is_fenced_at_once()
    {
        Assert.Equal(LeaseState.Fenced, new LeaseTimes(Renewed, Refused: true).At(Renewed));
    }

    [Fact]
    public void Several_beats_fit_into_one_life_and_silence_is_seen_before_it_ends()
    {
        Assert.True(LeaseTimes.Beat * 3 < LeaseTimes.TimeToLive);
        Assert.True(LeaseTimes.LongestSilence < LeaseTimes.TimeToLive);
    }
}
