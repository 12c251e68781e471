using System.Runtime.InteropServices;

namespace Caisson.Cli.Supervise;

/// <summary>The few system calls that the framework does not offer.</summary>
internal static partial class Posix
{
    internal const int SigKill = 9;
    internal const int SigTerm = 15;

    private const int PrSetPdeathsig = 1;
    private const int FSetFd = 2;
    private const int FdCloexec = 1;

    internal static void Kill(int pid, int signal) => _ = KillProcess(pid, signal);

    /// <summary>This process is killed when the thread that started it ends.</summary>
    internal static bool DieWithParent() => PrControl(PrSetPdeathsig, SigKill, 0, 0, 0) == 0;

    internal static int ParentId() => GetParentId();

    /// <summary>A group of its own: a terminal's Ctrl-C reaches the supervisor only, which passes it on once.</summary>
    internal static void LeaveGroup() => _ = SetProcessGroup(0, 0);

    /// <summary>Whether programs that this process starts get the descriptor too.</summary>
    internal static void SetInherited(int descriptor, bool inherited) => _ = FileControl(descriptor, FSetFd, inherited ? 0 : FdCloexec);

    internal static string SignalName(int signal) => signal switch
    {
        1 => "SIGHUP",
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => $"signal {signal}",
    };

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int KillProcess(int pid, int signal);

    [LibraryImport("libc", EntryPoint = "prctl", SetLastError = true)]
    private static partial int PrControl(int option, nuint first, nuint second, nuint third, nuint fourth);

    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int GetParentId();

    [LibraryImport("libc", EntryPoint = "setpgid", SetLastError = true)]
    private static partial int SetProcessGroup(int pid, int group);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int FileControl(int descriptor, int command, int argument);
}
