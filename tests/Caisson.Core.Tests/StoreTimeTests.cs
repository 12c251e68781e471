using Microsoft.Extensions.Time.Testing;

namespace Caisson.Core.Tests;

public sealed class StoreTimeTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly JumpingClock _wall = new();

    [Fact]
    public void It_is_the_wall_clock_while_that_goes_on()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);

        Assert.Equal(Start, time.GetUtcNow());
        _wall.Advance(Hour);
        Assert.Equal(Start + Hour, time.GetUtcNow());
    }

    [Fact]
    public void A_wall_clock_that_is_set_back_stops_nothing_and_goes_nowhere_back()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);

        _wall.Set(Start - Hour);

        Assert.Equal(Start, time.GetUtcNow());
        _wall.Advance(Second);
        Assert.Equal(Start + Second, time.GetUtcNow());
    }

    [Fact]
    public void A_wall_clock_that_is_set_forward_is_followed_and_stays_followed()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);

        _wall.Set(Start + Hour);
        Assert.Equal(Start + Hour, time.GetUtcNow());
        _wall.Set(Start);

        Assert.Equal(Start + Hour, time.GetUtcNow());
        _wall.Advance(Second);
        Assert.Equal(Start + Hour + Second, time.GetUtcNow());
    }

    [Fact]
    public void A_wall_clock_that_jumps_to_and_fro_never_brings_the_time_back()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);
        var random = new Random(20260101);
        var last = time.GetUtcNow();
        var highest = last;

        for (var i = 0; i < 10_000; i++)
        {
            if (random.Next(3) == 0)
                _wall.Set(Start + random.Next(-3600, 3600) * Second);
            else
                _wall.Advance(random.Next(1000) * TimeSpan.FromMilliseconds(1));
            var now = time.GetUtcNow();
            highest = highest > _wall.GetUtcNow() ? highest : _wall.GetUtcNow();

            Assert.True(now >= last, $"{i}: {now:O} after {last:O}");
            Assert.True(now >= highest, $"{i}: {now:O} is behind a wall clock that said {highest:O}");
            last = now;
        }
    }

    [Fact]
    public void After_a_restart_it_goes_on_from_the_stores_latest_time_although_the_wall_clock_is_behind()
    {
        var time = new StoreTime(_wall, Start + Hour);

        Assert.Equal(Start + Hour, time.GetUtcNow());
        _wall.Advance(Second);
        Assert.Equal(Start + Hour + Second, time.GetUtcNow());
        _wall.Set(Start + 2 * Hour);
        Assert.Equal(Start + 2 * Hour, time.GetUtcNow());
    }

    [Fact]
    public void A_floor_that_comes_later_raises_it_and_a_lower_one_does_nothing()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);

        time.NotBefore(Start + Hour);
        time.NotBefore(Start - Hour);

        Assert.Equal(Start + Hour, time.GetUtcNow());
    }

    [Fact]
    public void The_last_time_there_is_is_no_accident()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MaxValue);

        _wall.Advance(Hour);

        Assert.Equal(DateTimeOffset.MaxValue.UtcTicks, time.GetUtcNow().UtcTicks);
    }

    /// <summary>A machine that slept: its boot clock went on, the framework's did not, and the wall clock is wrong after it.</summary>
    [Fact]
    public void A_boot_clock_counts_time_that_the_inner_clock_does_not()
    {
        var boot = 5_000_000_000L;
        var time = new StoreTime(_wall, DateTimeOffset.MinValue, () => boot);
        var began = time.GetTimestamp();

        boot += 3_600_000_000_000;

        Assert.Equal(Hour, time.GetElapsedTime(began));
        Assert.Equal(Start + Hour, time.GetUtcNow());
    }

    [Fact]
    public async Task Timers_are_the_inner_clocks()
    {
        var time = new StoreTime(_wall, DateTimeOffset.MinValue);

        var delay = Task.Delay(Second, time, TestContext.Current.CancellationToken);
        Assert.False(delay.IsCompleted);
        _wall.Advance(Second);

        await delay;
    }

    [Fact]
    public async Task Many_threads_at_once_never_see_it_go_back()
    {
        var time = new StoreTime(TimeProvider.System, DateTimeOffset.MinValue);

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            var last = DateTimeOffset.MinValue;
            for (var i = 0; i < 100_000; i++)
            {
                var now = time.GetUtcNow();
                Assert.True(now >= last, $"{i}: {now:O} after {last:O}");
                last = now;
            }
        })));
    }

    /// <summary>A wall clock that somebody sets while the monotonic one goes on; the framework's fake one moves both.</summary>
    private sealed class JumpingClock : TimeProvider
    {
        private readonly FakeTimeProvider _steady = new(Start);
        private TimeSpan _off;

        public void Set(DateTimeOffset wall) => _off = wall - _steady.GetUtcNow();

        public void Advance(TimeSpan by) => _steady.Advance(by);

        public override DateTimeOffset GetUtcNow() => _steady.GetUtcNow() + _off;

        public override long TimestampFrequency => _steady.TimestampFrequency;

        public override long GetTimestamp() => _steady.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => _steady.CreateTimer(callback, state, dueTime, period);
    }
}
