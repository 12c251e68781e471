using System.Runtime.InteropServices;

namespace Caisson.Server.Hosting;

/// <summary>
/// The kernel's clock that counts on while the machine is suspended. The framework's own stands still then: a server
/// that was asleep for an hour would take its lease for fresh.
/// </summary>
internal static class BootClock
{
    private const int BootTime = 7;

    /// <summary>Nanoseconds since the boot; <c>null</c> where there is no such clock.</summary>
    internal static Func<long>? Nanoseconds { get; } = OperatingSystem.IsLinux() && Environment.Is64BitProcess && ClockGetTime(BootTime, out _) == 0 ? Read : null;

    private static long Read() => ClockGetTime(BootTime, out var time) == 0
        ? time.Seconds * 1_000_000_000 + time.Nanoseconds
        : throw new InvalidOperationException("the kernel's boot clock cannot be read any more");

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        internal long Seconds;
        internal long Nanoseconds;
    }

#pragma warning disable SYSLIB1054 // Generated imports need unsafe code, which this project does not allow itself for one call.
    [DllImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int ClockGetTime(int clock, out TimeSpec time);
#pragma warning restore SYSLIB1054
}
