using Caisson.Sandboxes.Tests.Containment;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>Machines of the host's KVM. Without it they are emulated, and too slow for every run of the tests.</summary>
public sealed class MicroVmBoxes() : Boxes("microvm");

/// <summary>The probes of containment against machines, where this host offers them.</summary>
public sealed class MachineContainmentTests(MicroVmBoxes boxes) : IClassFixture<MicroVmBoxes>
{
    [Fact]
    public async Task A_machine_contains_what_the_table_says()
    {
        Assert.NotNull(boxes.Shared);

        var seen = await boxes.ContainAsync();

        Assert.Equal(Suite.All.Select(p => $"{p.Name}: {p.Expected(boxes.Kind)}"), Suite.All.Select(p => $"{p.Name}: {seen[p.Name]}"));
    }
}
