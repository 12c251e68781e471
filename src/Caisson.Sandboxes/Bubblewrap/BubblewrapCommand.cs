using System.Globalization;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Images;

namespace Caisson.Sandboxes.Bubblewrap;

/// <summary>The command line that makes a box: the same picture as gVisor's OCI description, with the host's kernel below.</summary>
internal static class BubblewrapCommand
{
    private const long LargestTemporary = 256L << 20;

    /// <summary>Where the launcher puts what the box sees: bwrap is not root and could not reach it elsewhere.</summary>
    private const string Stage = "/run";

    /// <summary>What Docker hides of /proc: files that tell of the whole host or steer it.</summary>
    private static readonly string[] HiddenFiles =
        ["kcore", "keys", "key-users", "kallsyms", "kmsg", "kpagecount", "kpageflags", "kpagecgroup", "latency_stats", "sched_debug", "timer_list", "interrupts", "vmallocinfo", "slabinfo", "config.gz"];

    private static readonly string[] HiddenFolders = ["acpi", "asound", "scsi", "driver", "dynamic_debug", "sys/fs/binfmt_misc"];
    private static readonly string[] ReadOnly = ["sys", "sysrq-trigger", "irq", "bus", "fs", "mtrr"];

    /// <param name="root">See <see cref="BoxImage"/>.</param>
    public static LaunchPlan Write(string bwrap, string root, BoxFolder folder, long memoryBytes)
    {
        // Kept in the box's memory, so no more of it than the box may have.
        var temporary = Math.Min(LargestTemporary, memoryBytes / 2).ToString(CultureInfo.InvariantCulture);
        List<string> command =
        [
            bwrap,
            "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "box",
            "--as-pid-1", "--die-with-parent",
            // What the guest agent needs to become its own user; see become_agent in guest/init.c.
            "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL",
            "--ro-bind", $"{Stage}/root", "/",
            "--proc", "/proc",
            .. HiddenFiles.Where(f => File.Exists($"/proc/{f}")).SelectMany(f => (string[])["--ro-bind", "/dev/null", $"/proc/{f}"]),
            .. ReadOnly.Where(f => Path.Exists($"/proc/{f}")).SelectMany(f => (string[])["--ro-bind", $"/proc/{f}", $"/proc/{f}"]),
            .. HiddenFolders.Where(f => Directory.Exists($"/proc/{f}")).SelectMany(f => (string[])["--tmpfs", $"/proc/{f}", "--remount-ro", $"/proc/{f}"]),
            "--dev", "/dev",
            "--perms", "1777", "--size", temporary, "--tmpfs", "/dev/shm",
            "--remount-ro", "/dev",
            "--perms", "1777", "--size", temporary, "--tmpfs", "/tmp",
            "--ro-bind", $"{Stage}/sockets", "/run/caisson",
            "--ro-bind", $"{Stage}/files", BoxImage.FilesInside,
            "--bind", $"{Stage}/workspace", "/workspace",
            "--chdir", "/",
            // Nothing by that name is set; it tells in the list of the host's processes whose box this is, for the reaper.
            "--unsetenv", folder.Path.Replace('=', '_'),
            "--clearenv", "--setenv", "PATH", "/usr/bin",
            "--", BoxImage.GuestInside, "init", "--host-kernel",
        ];
        return new LaunchPlan(command,
        [
            "--user-namespace",
            "--stage", "root", root,
            "--stage", "sockets", folder.Sockets,
            "--stage", "files", folder.Files,
            "--stage", "workspace", folder.Workspace,
        ]);
    }
}
