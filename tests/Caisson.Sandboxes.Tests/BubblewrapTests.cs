using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Reaping;

namespace Caisson.Sandboxes.Tests;

public sealed class BubblewrapBoxes() : Boxes("bubblewrap");

[CollectionDefinition("bubblewrap")]
public sealed class BubblewrapCollection : ICollectionFixture<BubblewrapBoxes>;

[Collection("bubblewrap")]
public sealed class BubblewrapExecTests(BubblewrapBoxes boxes) : ExecTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapFileTests(BubblewrapBoxes boxes) : FileTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapForwardTests(BubblewrapBoxes boxes) : ForwardTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapLifeTests(BubblewrapBoxes boxes) : LifeTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapLimitTests(BubblewrapBoxes boxes) : LimitTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapProgramTests(BubblewrapBoxes boxes) : ProgramTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapTerminalTests(BubblewrapBoxes boxes) : TerminalTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapVisitTests(BubblewrapBoxes boxes) : VisitTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapWorkspaceTests(BubblewrapBoxes boxes) : WorkspaceTests(boxes);

[Collection("bubblewrap")]
public sealed class BubblewrapContainmentTests(BubblewrapBoxes boxes) : ContainmentTests(boxes);

/// <summary>What only boxes on the host's kernel need.</summary>
[Collection("bubblewrap")]
public sealed class BubblewrapTests(BubblewrapBoxes boxes)
{
    [Fact]
    public async Task Nobody_in_the_box_is_root_of_the_host_or_keeps_a_right_there()
    {
        var box = await boxes.CreateAsync();
        var running = box.RunAsync("sleep 4711 & wait", TimeSpan.FromMinutes(1));
        await Eventually.SeesAsync(() => box.MustAsync("ps axo args"), seen => seen.Contains("sleep 4711", StringComparison.Ordinal));

        var bwrap = HostProcesses.OfBoxes(boxes.FolderOf(box)).Where(p => p.Command.StartsWith("/usr/bin/bwrap", StringComparison.Ordinal)).Select(p => p.Id);
        var inside = Cgroup(box).Except(HostProcesses.OfBoxes(boxes.FolderOf(box)).Select(p => p.Id)).ToList();

        Assert.NotEmpty(bwrap);
        Assert.True(inside.Count >= 3, $"{inside.Count} processes");
        foreach (var pid in inside.Concat(bwrap))
        {
            var status = await File.ReadAllLinesAsync($"/proc/{pid}/status");
            Assert.DoesNotContain(status, l => l.StartsWith("Uid:", StringComparison.Ordinal) && l.Split('\t').Skip(1).Contains("0"));
            Assert.NotEqual(Namespace("self", "user"), Namespace($"{pid}", "user"));
        }

        await box.DestroyAsync();
        await running;
    }

    [Fact]
    public async Task The_filter_holds_for_the_guest_agent_itself()
    {
        var status = await boxes.Shared.MustAsync("grep -E '^(Seccomp|NoNewPrivs|CapPrm|Seccomp_filters):' /proc/1/status | tr -d '\t'");

        Assert.Equal("CapPrm:00000000000000e0\nNoNewPrivs:1\nSeccomp:2\nSeccomp_filters:1", status);
    }

    private static string Namespace(string pid, string name) => new FileInfo($"/proc/{pid}/ns/{name}").LinkTarget!;

    private IEnumerable<int> Cgroup(ISandbox box)
    {
        var layout = Cgroups.CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), Boxes.Options(boxes.Directory).EffectivePrefix)!;
        return new Cgroups.BoxCgroup(layout, box.Id, TimeProvider.System).Processes();
    }
}
