using Caisson.Contracts;
using Caisson.Core.Leases;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Core.Tests.Leases;

/// <summary>The lease's own thread is left out: each beat and each sign of life comes when the test says so.</summary>
public sealed class NodeLeaseTests : INodeStore, IDisposable
{
    private readonly Hands _clock = new();
    private readonly NodeLease _lease;
    private readonly List<string> _fenced = [];
    private Func<RenewOutcome> _renew = () => RenewOutcome.Renewed;
    private int _renewals;

    public NodeLeaseTests()
    {
        _lease = new NodeLease(new NodeId(new Guid("10000000-0000-4000-8000-000000000000")), this, _clock, NullLogger.Instance) { Fenced = failure => _fenced.Add(failure.Code) };
        _lease.Start(ownThread: false);
    }

    [Fact]
    public void A_renewal_counts_from_before_it_was_sent()
    {
        _renew = () =>
        {
            _clock.Move(2);
            return RenewOutcome.Renewed;
        };
        _clock.Move(1);
        Beat();

        // The store may have counted from the first second on, however late its answer came.
        _clock.Move(1.9);
        Assert.True(_lease.MaySend);
        _clock.Move(0.1);
        Assert.Equal((LeaseState.Suspect, false), (_lease.State, _lease.MaySend));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_node_of_which_a_part_stands_still_does_not_renew(bool poolLives, bool dispatcherLives)
    {
        for (var second = 0; second < 5; second++)
        {
            _clock.Move(1);
            if (poolLives)
                _clock.Fire(LeaseTimes.Beat / 2);
            if (dispatcherLives)
                _lease.DispatcherAlive();
            _clock.Fire(LeaseTimes.Beat);
        }

        Assert.Equal(3, _renewals);
        _clock.Move(2);
        Assert.Equal(LeaseState.Suspect, _lease.State);

        Beat();

        Assert.Equal((LeaseState.Live, 4), (_lease.State, _renewals));
    }

    [Fact]
    public void A_store_that_fails_for_a_while_is_a_wait()
    {
        _renew = () => throw new CaissonException(ErrorCodes.StorageFailed, "it stalls", isTransient: true);
        Beats(10);
        Assert.Equal(LeaseState.Suspect, _lease.State);

        _renew = () => RenewOutcome.Renewed;
        Beats(1);

        Assert.Equal(LeaseState.Live, _lease.State);
        Assert.Empty(_fenced);
    }

    [Fact]
    public void A_store_that_fails_for_a_minute_beyond_the_lease_ends_the_node_once()
    {
        _renew = () => throw new CaissonException(ErrorCodes.StorageFailed, "it stalls", isTransient: true);
        Beats(63);
        Assert.Empty(_fenced);

        Beats(5);

        Assert.Equal(ErrorCodes.StorageFailed, Assert.Single(_fenced));
        Assert.Equal((LeaseState.Fenced, 64), (_lease.State, _renewals));
    }

    [Fact]
    public void A_node_that_was_declared_dead_ends_at_once_and_asks_no_more()
    {
        _renew = () => RenewOutcome.Fenced;

        Beats(3);

        Assert.Single(_fenced);
        Assert.Equal((LeaseState.Fenced, 1), (_lease.State, _renewals));
    }

    private void Beats(int seconds)
    {
        for (var second = 0; second < seconds; second++)
        {
            _clock.Move(1);
            Beat();
        }
    }

    private void Beat()
    {
        _clock.Fire(LeaseTimes.Beat / 2);
        _lease.DispatcherAlive();
        _clock.Fire(LeaseTimes.Beat);
    }

    RenewOutcome INodeStore.Renew(NodeId node)
    {
        _renewals++;
        return _renew();
    }

    Task INodeStore.RegisterAsync(NodeRegistration node, CancellationToken cancellationToken) => Task.CompletedTask;

    Task INodeStore.RetireAsync(NodeId node, CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _lease.Dispose();

    /// <summary>A clock whose hands the test moves, and whose timers it fires by their period.</summary>
    private sealed class Hands : TimeProvider
    {
        private readonly List<(TimeSpan Period, Action Callback)> _timers = [];
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _timers.Add((period, () => callback(state)));
            return new Fired();
        }

        internal void Move(double seconds) => _ticks += TimeSpan.FromSeconds(seconds).Ticks;

        internal void Fire(TimeSpan period) => _timers.Single(t => t.Period == period).Callback();

        private sealed class Fired : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
