using System.Diagnostics;

namespace Caisson.Bench.Measuring;

/// <summary>Wall time and this process's processor time since it was made.</summary>
internal readonly struct Meter()
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly TimeSpan _cpu = Environment.CpuUsage.TotalTime;

    internal (TimeSpan Wall, TimeSpan Cpu) Read() => (Stopwatch.GetElapsedTime(_start), Environment.CpuUsage.TotalTime - _cpu);
}
