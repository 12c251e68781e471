using System.Diagnostics;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Bench.Probes;

/// <summary>What the disk can do by itself: append 2 KiB and sync, one after another.</summary>
internal static class DiskProbe
{
    /// <returns>Milliseconds of each.</returns>
    internal static double[] Syncs(string folder, int count)
    {
        var block = Payload.Bytes(2048);
        var times = new double[count];
        using SafeFileHandle file = File.OpenHandle(Path.Combine(folder, "floor"), FileMode.Create, FileAccess.Write);
        for (var i = 0; i < count; i++)
        {
            var start = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, block, (long)i * block.Length);
            RandomAccess.FlushToDisk(file);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return times;
    }
}
