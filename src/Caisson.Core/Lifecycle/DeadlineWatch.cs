namespace Caisson.Core.Lifecycle;

/// <summary>
/// Stops a run when its deadline is over. Looks again as often as needed: a timer holds seven weeks at most, and a
/// deadline may be given, raised or lowered while the run lives.
/// </summary>
internal sealed class DeadlineWatch : IDisposable
{
    private static readonly TimeSpan LongestTimer = TimeSpan.FromHours(1);

    private readonly RunSession _session;
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;

    internal DeadlineWatch(RunSession session, TimeProvider clock)
    {
        (_session, _clock) = (session, clock);
        _timer = clock.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        session.LimitsChanged = Look;
        Look();
    }

    private void Look()
    {
        var now = _clock.GetUtcNow();
        var limits = _session.Limits;
        if (limits.DeadlineDenial(now) is not null || _session.NoProgressDenial(now) is not null)
        {
            _ = _session.RequestStopAsync(new StopRequest(StopKind.Deadline, "deadline", null, null));
            return;
        }

        var left = LongestTimer;
        if (limits.Deadline - now is { } toDeadline && toDeadline < left)
            left = toDeadline;

        // A run that waits owes no progress, and what it does meanwhile moves the time: the timer only looks again.
        if (limits.NoProgress is { } span && Later(_session.LastProgress + span - now, span) is { } toProgress && toProgress < left)
            left = toProgress;
        if (limits.Deadline is not null || limits.NoProgress is not null)
            _timer.Change(left, Timeout.InfiniteTimeSpan);
    }

    private static TimeSpan Later(TimeSpan left, TimeSpan span) => left > TimeSpan.Zero ? left : span;

    public void Dispose()
    {
        _session.LimitsChanged = null;
        _timer.Dispose();
    }
}
