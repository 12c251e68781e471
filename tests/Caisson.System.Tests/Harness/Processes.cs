using System.Diagnostics;
using System.Globalization;

namespace Caisson.System.Tests.Harness;

/// <summary>Looks at processes through /proc and sends them signals.</summary>
internal static class Processes
{
    internal static void Signal(int pid, string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", pid.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>Living children of a process; a zombie is none.</summary>
    internal static IReadOnlyList<int> ChildrenOf(int parent)
    {
        var children = new List<int>();
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out var pid) && Stat(pid) is [not "Z", var ppid, ..] && ppid == parent.ToString(CultureInfo.InvariantCulture))
                children.Add(pid);
        }

        return children;
    }

    internal static bool IsAlive(int pid) => Stat(pid) is [not "Z" and not "X", ..];

    /// <summary>State, parent and what follows in the kernel's line.</summary>
    private static string[] Stat(int pid)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{pid}/stat");
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
