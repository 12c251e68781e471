using Caisson.Sandboxes.Cgroups;

namespace Caisson.Sandboxes.Tests;

/// <summary>Both versions, since a machine runs only one of them.</summary>
public sealed class CgroupLayoutTests
{
    private const string Hybrid = """
        28 23 0:24 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
        29 28 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
        30 28 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
        31 28 0:27 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids
        32 28 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
        33 28 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        """;

    private const string Unified = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    private static readonly BoxLimits Limits = new(512 << 20, 1.5, 300);

    [Fact]
    public void A_hybrid_host_uses_version_1_with_one_folder_for_each_mount()
    {
        var layout = CgroupLayout.Detect(Hybrid, "caisson-x")!;

        Assert.Equal(
            ["/sys/fs/cgroup/cpu,cpuacct/caisson-x/b", "/sys/fs/cgroup/freezer/caisson-x/b", "/sys/fs/cgroup/memory/caisson-x/b", "/sys/fs/cgroup/pids/caisson-x/b"],
            layout.Directories("b"));
        Assert.Equal(
        [
            new("/sys/fs/cgroup/memory/caisson-x/b/memory.memsw.limit_in_bytes", "536870912", Optional: true),
            new("/sys/fs/cgroup/memory/caisson-x/b/memory.limit_in_bytes", "536870912"),
            new("/sys/fs/cgroup/memory/caisson-x/b/memory.memsw.limit_in_bytes", "536870912", Optional: true),
            new("/sys/fs/cgroup/cpu,cpuacct/caisson-x/b/cpu.cfs_period_us", "100000"),
            new("/sys/fs/cgroup/cpu,cpuacct/caisson-x/b/cpu.cfs_quota_us", "150000"),
            new("/sys/fs/cgroup/pids/caisson-x/b/pids.max", "300"),
        ],
        layout.Limits("b", Limits));
        Assert.Equal(("/sys/fs/cgroup/freezer/caisson-x/b/freezer.state", "FROZEN", "THAWED"), layout.Freezer("b"));
        var (file, isFrozen) = layout.FreezerState("b");
        Assert.EndsWith("freezer.state", file, StringComparison.Ordinal);
        Assert.Equal((true, false), (isFrozen("FROZEN\n"), isFrozen("FREEZING\n")));
    }

    [Fact]
    public void A_unified_host_uses_version_2_and_hands_the_controllers_down()
    {
        var layout = CgroupLayout.Detect(Unified, "caisson-x")!;

        Assert.Equal(["/sys/fs/cgroup/caisson-x/b"], layout.Directories("b"));
        Assert.Equal(
            [new("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory +pids"), new("/sys/fs/cgroup/caisson-x/cgroup.subtree_control", "+cpu +memory +pids")],
            layout.ParentWrites);
        Assert.Equal(
        [
            new("/sys/fs/cgroup/caisson-x/b/memory.max", "536870912"),
            new("/sys/fs/cgroup/caisson-x/b/memory.swap.max", "0", Optional: true),
            new("/sys/fs/cgroup/caisson-x/b/memory.oom.group", "1", Optional: true),
            new("/sys/fs/cgroup/caisson-x/b/cpu.max", "150000 100000"),
            new("/sys/fs/cgroup/caisson-x/b/pids.max", "300"),
        ],
        layout.Limits("b", Limits));
        Assert.Equal(("/sys/fs/cgroup/caisson-x/b/cgroup.freeze", "1", "0"), layout.Freezer("b"));
        var (_, isFrozen) = layout.FreezerState("b");
        Assert.Equal((true, false), (isFrozen("populated 1\nfrozen 1\n"), isFrozen("populated 1\nfrozen 0\n")));
    }

    [Fact]
    public void Counters_are_read_from_the_files_of_each_version()
    {
        var version1 = new Dictionary<string, string>
        {
            ["memory.usage_in_bytes"] = "1000\n",
            ["cpuacct.usage"] = "2500000\n",
            ["pids.current"] = "7\n",
            ["memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            ["pids.events"] = "max 9\n",
        };
        var version2 = new Dictionary<string, string>
        {
            ["memory.current"] = "1000\n",
            ["cpu.stat"] = "usage_usec 2500\nuser_usec 1\n",
            ["pids.current"] = "7\n",
            ["memory.events"] = "low 0\nhigh 0\nmax 5\noom 1\noom_kill 3\noom_group_kill 1\n",
            ["pids.events"] = "max 9\n",
        };
        var expected = new CgroupCounters(1000, TimeSpan.FromMilliseconds(2.5), 7, 3, 9);

        Assert.Equal(expected, CgroupLayout.Detect(Hybrid, "p")!.Counters("b", file => version1[Path.GetFileName(file)]));
        Assert.Equal(expected, CgroupLayout.Detect(Unified, "p")!.Counters("b", file => version2[Path.GetFileName(file)]));
        Assert.Equal(new CgroupCounters(0, TimeSpan.Zero, 0, 0, 0), CgroupLayout.Detect(Unified, "p")!.Counters("b", _ => null));
    }

    [Fact]
    public void What_a_process_read_and_wrote_is_one_sum()
    {
        Assert.Equal(1_000 + 2_000 - 8 * 8, CgroupLayout.ProcessIo("rchar: 1000\nwchar: 2000\nsyscr: 5\nsyscw: 3\nread_bytes: 4096\n"));
        Assert.Equal(0, CgroupLayout.ProcessIo("rchar: 800\nwchar: 800\nsyscr: 100\nsyscw: 100\n"));
        Assert.Equal(TimeSpan.FromMilliseconds(90), CgroupLayout.ProcessCpu("7 (a ) b) S 1 7 7 0 -1 4194304 90 0 0 0 4 5 0 0 20 0 1 0 100"));
        Assert.Equal(TimeSpan.Zero, CgroupLayout.ProcessCpu(null));
        Assert.Equal(0, CgroupLayout.ProcessIo(null));
    }

    [Theory]
    [InlineData("")]
    [InlineData("22 27 0:21 / /proc rw - proc proc rw\nnonsense\n\n")]
    [InlineData("30 28 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")]
    public void A_host_without_the_needed_controllers_has_no_layout(string mounts) => Assert.Null(CgroupLayout.Detect(mounts, "p"));
}
