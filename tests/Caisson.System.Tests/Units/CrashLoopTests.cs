using Caisson.Cli.Supervise;

namespace Caisson.System.Tests.Units;

public sealed class CrashLoopTests
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(100);

    private readonly CrashLoop _loop = new();

    [Fact]
    public void The_first_deaths_cost_no_time()
    {
        for (var i = 1; i < CrashLoop.FreeDeaths; i++)
            Assert.Equal(TimeSpan.Zero, _loop.Died(Moment, false));
    }

    [Fact]
    public void A_server_that_keeps_dying_is_held_back_longer_and_longer_up_to_a_bound()
    {
        var pauses = Enumerable.Range(0, 30).Select(_ => _loop.Died(Moment, false)).ToList();

        Assert.Equal(pauses.Order(), pauses);
        Assert.Equal(CrashLoop.LongestPause, pauses[^1]);
    }

    [Fact]
    public void A_server_that_ran_for_a_while_is_forgiven()
    {
        for (var i = 0; i < 10; i++)
            _loop.Died(Moment, false);

        Assert.Equal(TimeSpan.Zero, _loop.Died(CrashLoop.Window * 2, false));
    }

    [Fact]
    public void A_serving_server_that_is_killed_from_outside_is_always_back_at_once()
    {
        for (var i = 0; i < 50; i++)
            Assert.Equal(TimeSpan.Zero, _loop.Died(Moment, true));
    }
}
