using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Tests;

[Collection(nameof(Boxes))]
public sealed class LimitTests(Boxes boxes)
{
    [Fact]
    public async Task Too_much_memory_ends_the_box_as_sandbox_oom()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { MemoryBytes = 128L << 20 });

        var outcome = await box.RunAsync("head -c 400m /dev/zero | tail", TimeSpan.FromSeconds(60));

        Assert.Equal(ErrorCodes.SandboxOom, Assert.IsType<ExecOutcome.Lost>(outcome).Failure.Code);
        Assert.Equal(ErrorCodes.SandboxOom, Assert.IsType<ExecOutcome.Lost>(await box.RunAsync("true")).Failure.Code);
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_fork_bomb_ends_its_own_box_as_sandbox_pids_and_no_other()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { Pids = 256 });

        var bomb = box.RunAsync("b() { b | b & }; b; sleep 30", TimeSpan.FromSeconds(60));
        while (!bomb.IsCompleted)
            Assert.Equal("neighbour", await boxes.Shared.MustAsync("echo neighbour"));

        Assert.Equal(ErrorCodes.SandboxPids, Assert.IsType<ExecOutcome.Lost>(await bomb).Failure.Code);
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_full_disk_is_told_as_sandbox_disk_and_the_box_lives_on()
    {
        var box = await boxes.CreateAsync(new SandboxSettings { DiskBytes = 32L << 20 });

        var fill = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync("head -c 100m /dev/zero > fill"));
        var write = await box.WriteFileAsync("more", new byte[1 << 20], default);

        Assert.NotEqual(0, fill.ExitCode);
        Assert.Contains("No space left on device", fill.Error.Text(), StringComparison.Ordinal);
        Assert.Equal(ErrorCodes.SandboxDisk, Assert.IsType<FileWriteOutcome.Refused>(write).Failure.Code);
        Assert.Equal("fill", await box.MustAsync("ls -A"));
        await box.DestroyAsync();
    }

    [Fact]
    public async Task The_temporary_folder_is_bounded()
    {
        var fill = Assert.IsType<ExecOutcome.Exited>(await boxes.Shared.RunAsync("head -c 400m /dev/zero > /tmp/fill; echo $?; rm /tmp/fill"));

        Assert.Contains("No space left on device", fill.Error.Text(), StringComparison.Ordinal);
    }

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
