namespace Caisson.Core.Sandboxes;

/// <summary>
/// Tells a command that hangs from one that works. Hung is not dead: its process is there and answers nothing.
/// <para>
/// It hangs when for the whole time-out it wrote nothing and its box's counters of CPU and I/O stood still. What the
/// sandbox's own kernel uses does not count: idle, it takes 0.1 to 6 % of a core, depending on the machine. Still the
/// counters never stand quite still, so what passes for still is a hundredth of a core and some hundred bytes a second,
/// measured since the last sign of life: honest work, even slow, is far above it, and whoever does less for minutes does
/// nothing. Pure: looks in, a word out.
/// </para>
/// </summary>
internal sealed class IdleWatch(TimeSpan timeout, SandboxStats start)
{
    internal static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(5);

    private const double QuietCores = 0.01;
    private const long QuietBytesPerSecond = 256;
    private static readonly TimeSpan QuietCpu = TimeSpan.FromMilliseconds(50);
    private const long QuietBytes = 16 << 10;

    private SandboxStats _alive = start;
    private TimeSpan _aliveAt;

    /// <summary>How often to look: often enough that little is added to the time-out.</summary>
    internal static TimeSpan LookEvery(TimeSpan timeout) =>
        TimeSpan.FromTicks(Math.Clamp(timeout.Ticks / 10, TimeSpan.FromMilliseconds(100).Ticks, TimeSpan.FromSeconds(10).Ticks));

    /// <summary>Whether it hangs.</summary>
    /// <param name="at">Since the start, by a clock that nobody sets: one that jumps an hour would end honest work.</param>
    internal bool Observe(SandboxStats now, TimeSpan at)
    {
        // A process that ended took its share of the sum with it.
        if (now.IoBytes < _alive.IoBytes)
            _alive = _alive with { IoBytes = now.IoBytes };
        var quiet = at - _aliveAt;
        var lives = now.OutputBytes != _alive.OutputBytes
            || Work(now) - Work(_alive) > QuietCpu + quiet * QuietCores
            || now.IoBytes - _alive.IoBytes > QuietBytes + (long)(quiet.TotalSeconds * QuietBytesPerSecond);
        if (lives)
            (_alive, _aliveAt) = (now, at);
        return !lives && quiet >= timeout;
    }

    private static TimeSpan Work(SandboxStats stats) => stats.Cpu - stats.KernelCpu;
}
