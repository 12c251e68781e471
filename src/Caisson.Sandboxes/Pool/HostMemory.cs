using System.Globalization;

namespace Caisson.Sandboxes.Pool;

/// <summary>What the kernel says about the host's memory and process numbers.</summary>
internal static class HostMemory
{
    /// <summary>Tasks of the host that one idle box is, with some to spare.</summary>
    private const int TasksOfBox = 27, TasksOfOthers = 2_000;

    private const long LeastReserve = 256L << 20;

    /// <summary>Free, or freed at need, without swapping.</summary>
    public static long Available() => Field("MemAvailable:");

    /// <summary>Left for the server and the system: a twentieth of the memory, and not less than 256 MiB.</summary>
    public static long Reserve() => Math.Max(LeastReserve, Field("MemTotal:") / 20);

    /// <summary>How many boxes the kernel's process numbers allow.</summary>
    public static int MostBoxes() =>
        Math.Max(1, (int.Parse(File.ReadAllText("/proc/sys/kernel/pid_max"), CultureInfo.InvariantCulture) - TasksOfOthers) / TasksOfBox);

    private static long Field(string name) =>
        long.Parse(File.ReadLines("/proc/meminfo").First(l => l.StartsWith(name, StringComparison.Ordinal))[name.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10;
}
