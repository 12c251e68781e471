using Caisson.Core.Sandboxes;

namespace Caisson.Core.Tests;

public sealed class IdleWatchTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromMinutes(5);

    /// <summary>Seconds until it is found to hang, within an hour; looked at every second.</summary>
    private static int? HangsAfter(Func<int, SandboxStats> at)
    {
        var watch = new IdleWatch(Timeout, at(0));
        for (var second = 1; second <= 3_600; second++)
        {
            if (watch.Observe(at(second), TimeSpan.FromSeconds(second)))
                return second;
        }

        return null;
    }

    private static SandboxStats Stats(double cpu = 0, long io = 0, long output = 0) => new(1, TimeSpan.FromSeconds(cpu), 2) { IoBytes = io, OutputBytes = output };

    [Fact]
    public void What_does_nothing_hangs_after_the_time_out()
    {
        Assert.Equal(300, HangsAfter(_ => Stats()));
    }

    [Fact]
    public void The_sandbox_s_own_clockwork_is_no_life()
    {
        Assert.Equal(300, HangsAfter(second => Stats(cpu: second * 0.004, io: second * 100)));
    }

    [Fact]
    public void A_kernel_of_its_own_that_ticks_is_no_life_and_work_beside_it_is()
    {
        Assert.Equal(300, HangsAfter(second => Stats(cpu: second * 0.06) with { KernelCpu = TimeSpan.FromSeconds(second * 0.06) }));
        Assert.Null(HangsAfter(second => Stats(cpu: second * 0.08) with { KernelCpu = TimeSpan.FromSeconds(second * 0.06) }));
    }

    [Fact]
    public void A_busy_loop_a_slow_copy_and_a_line_every_four_minutes_are_life()
    {
        Assert.Null(HangsAfter(second => Stats(cpu: second * 0.9)));
        Assert.Null(HangsAfter(second => Stats(cpu: second * 0.02)));
        Assert.Null(HangsAfter(second => Stats(io: second * 1_000)));
        Assert.Null(HangsAfter(second => Stats(output: second / 240)));
    }

    /// <summary>A process that ends takes its part of the sum with it; what others write after that is life.</summary>
    [Fact]
    public void A_sum_that_fell_counts_from_there()
    {
        Assert.Null(HangsAfter(second => Stats(io: second < 100 ? 1_000_000_000 : second * 1_000)));
    }

    [Fact]
    public void What_stops_working_hangs_that_long_after_its_last_sign_of_life()
    {
        Assert.InRange(HangsAfter(second => Stats(cpu: Math.Min(second, 100)))!.Value, 399, 401);
    }

    [Theory]
    [InlineData(1, 0.1)]
    [InlineData(60, 6)]
    [InlineData(300, 10)]
    public void It_is_looked_at_ten_times_a_time_out_and_at_least_every_ten_seconds(int timeout, double every)
    {
        Assert.Equal(TimeSpan.FromSeconds(every), IdleWatch.LookEvery(TimeSpan.FromSeconds(timeout)));
    }
}
