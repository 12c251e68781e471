using Caisson.Contracts;

namespace Caisson.Sandboxes.Cgroups;

/// <summary>What a box may use.</summary>
internal sealed record BoxLimits(long MemoryBytes, double Cpu, int Pids)
{
    private const long LeastDisk = 16L << 20, LargestDisk = 16L << 40, LeastMemory = 64L << 20;
    private const int LeastPids = 256;

    /// <param name="extraMemoryBytes">Of the kind's own programs, beside what the box may have.</param>
    public static BoxLimits Of(SandboxSettings settings, long extraMemoryBytes) => new(settings.MemoryBytes + extraMemoryBytes, settings.Cpu, settings.Pids);

    /// <summary>What is wrong with the settings, or <c>null</c>.</summary>
    public static string? Complaint(SandboxSettings settings) =>
        settings is { Pids: < LeastPids } or { MemoryBytes: < LeastMemory } or { DiskBytes: < LeastDisk or > LargestDisk } or { Cpu: < 0.01 or > 1024 }
            ? $"a box needs at least {LeastPids} pids, {LeastMemory} bytes of memory, {LeastDisk} bytes of disk and 0.01 cpu"
            : null;
}

/// <summary>One write into the cgroup file system. Optional ones are for files that some kernels do not have.</summary>
internal sealed record CgroupWrite(string File, string Value, bool Optional = false);

/// <summary>
/// Which files of which cgroup version carry a box's limits and counters. Pure: it only names files and reads texts, so
/// version 2 is tested also where it cannot be run.
/// </summary>
internal abstract record CgroupLayout(string Prefix)
{
    private const int WakeBytes = 8;
    private const int TickMilliseconds = 10;

    private const int CpuPeriodMicroseconds = 100_000;

    private static readonly string[] Needed = ["memory", "cpu", "cpuacct", "pids", "freezer"];

    /// <summary>
    /// Version 1 wherever its controllers are mounted (also on a hybrid host, whose unified tree has none), else
    /// version 2; <c>null</c> where neither carries what a box needs.
    /// </summary>
    public static CgroupLayout? Detect(string mountInfo, string prefix)
    {
        var version1 = new Dictionary<string, string>();
        string? version2 = null;
        foreach (var line in mountInfo.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            // 36 35 98:0 /root /mount options - type source superoptions
            var halves = line.Split(" - ", 2);
            var left = halves[0].Split(' ');
            var right = halves.Length == 2 ? halves[1].Split(' ') : [];
            if (left.Length < 5 || right.Length < 3)
                continue;
            if (right[0] == "cgroup2")
                version2 ??= left[4];
            else if (right[0] == "cgroup")
                foreach (var controller in right[2].Split(',').Intersect(Needed))
                    version1.TryAdd(controller, left[4]);
        }

        if (version1.Count == Needed.Length)
            return new Version1(prefix, version1);
        return version1.Count == 0 && version2 is not null ? new Version2(prefix, version2) : null;
    }

    /// <summary>The folders above all boxes; made once.</summary>
    public abstract IReadOnlyList<string> Parents { get; }

    /// <summary>What the parents need before boxes can stand in them.</summary>
    public abstract IReadOnlyList<CgroupWrite> ParentWrites { get; }

    public abstract IReadOnlyList<string> Directories(string box);

    public abstract IReadOnlyList<CgroupWrite> Limits(string box, BoxLimits limits);

    public abstract (string File, string Freeze, string Thaw) Freezer(string box);

    /// <summary>The file that tells when a freeze is complete, and how.</summary>
    public abstract (string File, Func<string, bool> IsFrozen) FreezerState(string box);

    public abstract CgroupCounters Counters(string box, Func<string, string?> read);

    /// <summary>The number after a key in a text of <c>key number</c> lines; 0 where it is missing.</summary>
    internal static long Field(string? text, string key)
    {
        foreach (var line in (text ?? "").Split('\n'))
        {
            var space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space == key.Length && line.StartsWith(key, StringComparison.Ordinal) && long.TryParse(line.AsSpan(space + 1), out var value))
                return value;
        }

        return 0;
    }

    /// <summary>
    /// Bytes in both directions, of a process's <c>io</c> file, beyond eight a call: so many has a call by which threads
    /// wake each other, of which a sandbox's own kernel makes hundreds a second while nothing happens in it.
    /// </summary>
    internal static long ProcessIo(string? text) =>
        Math.Max(0, Field(text, "rchar:") + Field(text, "wchar:") - WakeBytes * (Field(text, "syscr:") + Field(text, "syscw:")));

    /// <summary>What a process has used, of its <c>stat</c> file; its ended threads included.</summary>
    internal static TimeSpan ProcessCpu(string? text) =>
        text?[(text.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > 12 } fields
            ? TimeSpan.FromMilliseconds(TickMilliseconds * (Number(fields[11]) + Number(fields[12])))
            : TimeSpan.Zero;

    private static long Number(string? text) => long.TryParse(text.AsSpan().Trim(), out var value) ? value : 0;

    internal sealed record Version1(string Prefix, IReadOnlyDictionary<string, string> Mounts) : CgroupLayout(Prefix)
    {
        // Controllers that are mounted together share one folder.
        public override IReadOnlyList<string> Parents => [.. Mounts.Values.Distinct().Order(StringComparer.Ordinal).Select(m => $"{m}/{Prefix}")];

        public override IReadOnlyList<CgroupWrite> ParentWrites => [];

        public override IReadOnlyList<string> Directories(string box) => [.. Parents.Select(p => $"{p}/{box}")];

        public override IReadOnlyList<CgroupWrite> Limits(string box, BoxLimits limits) =>
        [
            // Equal to the one below: no swap. It may never be lower than that, so a raise goes first and a cut goes last.
            new(File("memory", box, "memory.memsw.limit_in_bytes"), $"{limits.MemoryBytes}", Optional: true),
            new(File("memory", box, "memory.limit_in_bytes"), $"{limits.MemoryBytes}"),
            new(File("memory", box, "memory.memsw.limit_in_bytes"), $"{limits.MemoryBytes}", Optional: true),
            new(File("cpu", box, "cpu.cfs_period_us"), $"{CpuPeriodMicroseconds}"),
            new(File("cpu", box, "cpu.cfs_quota_us"), $"{(long)(limits.Cpu * CpuPeriodMicroseconds)}"),
            new(File("pids", box, "pids.max"), $"{limits.Pids}"),
        ];

        public override (string File, string Freeze, string Thaw) Freezer(string box) =>
            (File("freezer", box, "freezer.state"), "FROZEN", "THAWED");

        public override (string File, Func<string, bool> IsFrozen) FreezerState(string box) =>
            (File("freezer", box, "freezer.state"), text => text.Trim() == "FROZEN");

        public override CgroupCounters Counters(string box, Func<string, string?> read) => new(
            Number(read(File("memory", box, "memory.usage_in_bytes"))),
            TimeSpan.FromMicroseconds(Number(read(File("cpuacct", box, "cpuacct.usage"))) / 1000d),
            (int)Number(read(File("pids", box, "pids.current"))),
            Field(read(File("memory", box, "memory.oom_control")), "oom_kill"),
            Field(read(File("pids", box, "pids.events")), "max"));

        private string File(string controller, string box, string name) => $"{Mounts[controller]}/{Prefix}/{box}/{name}";
    }

    internal sealed record Version2(string Prefix, string Mount) : CgroupLayout(Prefix)
    {
        private const string Controllers = "+cpu +memory +pids";

        public override IReadOnlyList<string> Parents => [$"{Mount}/{Prefix}"];

        public override IReadOnlyList<CgroupWrite> ParentWrites =>
        [
            new($"{Mount}/cgroup.subtree_control", Controllers),
            new($"{Mount}/{Prefix}/cgroup.subtree_control", Controllers),
        ];

        public override IReadOnlyList<string> Directories(string box) => [$"{Mount}/{Prefix}/{box}"];

        public override IReadOnlyList<CgroupWrite> Limits(string box, BoxLimits limits) =>
        [
            new(File(box, "memory.max"), $"{limits.MemoryBytes}"),
            new(File(box, "memory.swap.max"), "0", Optional: true),
            new(File(box, "memory.oom.group"), "1", Optional: true),
            new(File(box, "cpu.max"), $"{(long)(limits.Cpu * CpuPeriodMicroseconds)} {CpuPeriodMicroseconds}"),
            new(File(box, "pids.max"), $"{limits.Pids}"),
        ];

        public override (string File, string Freeze, string Thaw) Freezer(string box) => (File(box, "cgroup.freeze"), "1", "0");

        public override (string File, Func<string, bool> IsFrozen) FreezerState(string box) =>
            (File(box, "cgroup.events"), text => Field(text, "frozen") == 1);

        public override CgroupCounters Counters(string box, Func<string, string?> read) => new(
            Number(read(File(box, "memory.current"))),
            TimeSpan.FromMicroseconds(Field(read(File(box, "cpu.stat")), "usage_usec")),
            (int)Number(read(File(box, "pids.current"))),
            Field(read(File(box, "memory.events")), "oom_kill"),
            Field(read(File(box, "pids.events")), "max"));

        private string File(string box, string name) => $"{Mount}/{Prefix}/{box}/{name}";
    }
}

/// <param name="OomKills">Processes that the kernel killed for the memory limit.</param>
/// <param name="PidsRefused">Forks that the kernel refused for the process limit.</param>
internal sealed record CgroupCounters(long MemoryBytes, TimeSpan Cpu, int Processes, long OomKills, long PidsRefused);
