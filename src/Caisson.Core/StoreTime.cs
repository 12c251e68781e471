namespace Caisson.Core;

/// <summary>
/// The time that is stored and that timers are due by: a wall clock that never goes back.
/// <para>
/// Problem: an operator, a virtual machine's host or a time server may set the wall clock by hours while runs wait. A
/// clock that goes back would make due what was not, order a journal against its own times, and let what was stored a
/// moment ago look older than it is. So the time goes on at the pace of the monotonic clock from the latest wall clock
/// time that was ever seen, and a wall clock that is ahead of that moves it forward at once. One number holds it all:
/// the greatest lead of the wall clock over the monotonic one. It only grows, hence no lock.
/// </para>
/// <para>A wall clock that was far ahead by mistake stays the store's time until the real time has caught up.</para>
/// </summary>
public sealed class StoreTime : TimeProvider
{
    private static readonly long LastTicks = DateTimeOffset.MaxValue.UtcTicks;

    private readonly TimeProvider _inner;
    private readonly Func<long>? _monotonic;
    private readonly long _origin;
    private long _leadTicks;

    /// <param name="floor">The latest time that the store knows: no answer is earlier.</param>
    /// <param name="bootNanoseconds">
    /// A monotonic clock in nanoseconds that also counts while the machine is suspended; <c>null</c> for the inner one's.
    /// </param>
    public StoreTime(TimeProvider inner, DateTimeOffset floor, Func<long>? bootNanoseconds = null)
    {
        (_inner, _monotonic) = (inner, bootNanoseconds);
        _origin = GetTimestamp();
        _leadTicks = inner.GetUtcNow().UtcTicks;
        NotBefore(floor);
    }

    public override long TimestampFrequency => _monotonic is null ? _inner.TimestampFrequency : 1_000_000_000;

    public override TimeZoneInfo LocalTimeZone => _inner.LocalTimeZone;

    public override long GetTimestamp() => _monotonic?.Invoke() ?? _inner.GetTimestamp();

    public override DateTimeOffset GetUtcNow() => At(_inner.GetUtcNow().UtcTicks);

    /// <summary>From here on no answer is earlier than <paramref name="floor"/>: what a store says when it has been opened.</summary>
    public void NotBefore(DateTimeOffset floor) => At(floor.UtcTicks);

    /// <remarks>Its delays are the inner clock's: a timer is a hint, and what is due is decided by <see cref="GetUtcNow"/>.</remarks>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        _inner.CreateTimer(callback, state, dueTime, period);

    /// <summary>The present time, at least <paramref name="wallTicks"/>.</summary>
    private DateTimeOffset At(long wallTicks)
    {
        // The wall clock was read before the monotonic one: a pause in between makes the lead smaller, never too large.
        var elapsed = GetElapsedTime(_origin).Ticks;
        var lead = wallTicks - elapsed;
        var known = Volatile.Read(ref _leadTicks);
        while (lead > known)
        {
            var found = Interlocked.CompareExchange(ref _leadTicks, lead, known);
            if (found == known)
                break;
            known = found;
        }

        return new DateTimeOffset(Math.Min(Math.Max(lead, known) + elapsed, LastTicks), TimeSpan.Zero);
    }
}
