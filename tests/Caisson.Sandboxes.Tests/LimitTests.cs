using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

/// <summary>Limits that are more than a wall; the others are probes of containment.</summary>
public abstract class LimitTests(Boxes boxes)
{
    [Fact]
    public async Task Cpu_time_is_bounded()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { Cpu = 0.25 });
        var before = (await box.StatsAsync(default)).Cpu;
        var start = TimeProvider.System.GetTimestamp();

        await box.RunAsync("while :; do :; done", TimeSpan.FromSeconds(2));

        var used = (await box.StatsAsync(default)).Cpu - before;
        var share = used / TimeProvider.System.GetElapsedTime(start);
        Assert.True(share < 0.4, $"used {share:0.00} of a core");
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_program_killed_for_memory_beside_a_command_ends_the_box_before_the_command_does()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { MemoryBytes = 128L << 20 });

        var running = box.RunAsync("(head -c 300m /dev/zero | tail) & sleep 7301", TimeSpan.FromHours(3));

        var lost = Assert.IsType<ExecOutcome.Lost>(await running.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System));
        Assert.Equal(ErrorCodes.SandboxOom, lost.Failure.Code);
        await box.DestroyAsync();
    }

    [Theory]
    [InlineData(10L << 20, 512, 1L << 30)]
    [InlineData(512L << 20, 10, 1L << 30)]
    [InlineData(512L << 20, 512, 1000)]
    public async Task Limits_that_no_box_can_start_with_are_refused(long memory, int pids, long disk)
    {
        var limits = new SandboxSettings { MemoryBytes = memory, Pids = pids, DiskBytes = disk };

        var refused = await boxes.Provider.CreateAsync(new SandboxSpec(default, 1, limits, null), default);

        Assert.Equal(ErrorCodes.ManifestInvalid, Assert.IsType<SandboxCreateOutcome.Refused>(refused).Failure.Code);
    }
}
