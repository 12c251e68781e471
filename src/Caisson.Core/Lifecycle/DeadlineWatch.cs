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
        if (_session.Limits.Deadline is not { } deadline)
            return;
        var left = deadline - _clock.GetUtcNow();
        if (left > TimeSpan.Zero)
            _timer.Change(left < LongestTimer ? left : LongestTimer, Timeout.InfiniteTimeSpan);
        else
            _ = _session.RequestStopAsync(new StopRequest(StopKind.Deadline, "deadline", null, null));
    }

    public void Dispose()
    {
        _session.LimitsChanged = null;
        _timer.Dispose();
    }
}
