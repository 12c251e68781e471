using System.Net.Sockets;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Reaping;
using Caisson.Storage.Sqlite.Blobs;

namespace Caisson.Sandboxes.Tests;

public abstract class LifeTests(Boxes boxes)
{
    /// <summary>Boxes whose parts are killed at random.</summary>
    protected virtual int Kills => 12;

    [Fact]
    public async Task The_probe_starts_a_real_box()
    {
        Assert.NotNull(boxes.Shared);

        var probe = await boxes.Provider.ProbeAsync(default);

        // An emulated machine starts as well, and is offered to no run all the same: see MachineTests.
        var isOffered = boxes.Provider.Tier != IsolationTier.Emulated;
        Assert.True(probe.Offered == isOffered && probe.Remedy is null == isOffered, probe.Detail);
    }

    [Fact]
    public async Task Missing_tools_are_told_with_a_remedy()
    {
        await using var provider = boxes.Another(new SandboxOptions
        {
            StateDirectory = Path.Combine(boxes.Directory, "other"),
            GuestPath = Boxes.Guest,
            RunscPath = "/no/program",
            BwrapPath = "/no/program",
            MachineDirectory = "/no/program",
        });

        var probe = await provider.ProbeAsync(default);

        Assert.False(probe.Offered);
        Assert.Contains("/no/program", probe.Detail, StringComparison.Ordinal);
        Assert.NotNull(probe.Remedy);
        var refused = Assert.IsType<SandboxCreateOutcome.Refused>(await provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null), default));
        Assert.Equal(ErrorCodes.SandboxUnavailable, refused.Failure.Code);
    }

    [Theory]
    [InlineData("echo the reason >&2; exit 3", "the reason")]
    [InlineData("exec sleep 7001", "did not answer within")]
    public async Task A_start_that_fails_tells_why_and_leaves_nothing(string launcher, string reason)
    {
        var script = Path.Combine(boxes.Directory, $"launcher-{launcher.Length}.sh");
        // What a machine is told of the processor comes from the same program.
        await File.WriteAllTextAsync(script, "#!/bin/sh\n[ \"$1\" = counter ] && exec echo 2000000\n" + launcher + "\n");
        File.SetUnixFileMode(script, (UnixFileMode)0b111_101_101);
        var options = new SandboxOptions
        {
            StateDirectory = Path.Combine(boxes.Directory, "failing"),
            GuestPath = script,
            StartTimeout = TimeSpan.FromSeconds(1),
        };
        await using var provider = boxes.Another(options);

        var refused = await provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null), default);

        var failure = Assert.IsType<SandboxCreateOutcome.Refused>(refused).Failure;
        Assert.Equal(ErrorCodes.SandboxStartFailed, failure.Code);
        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.Combine(options.StateDirectory, "boxes")));
        Assert.Empty(await provider.ListResidueAsync(default));
    }

    [Fact]
    public async Task A_freeze_stops_every_process_and_a_command_thaws()
    {
        var box = await boxes.CreateAsync();
        var running = box.RunAsync("i=0; while :; do i=$((i+1)); [ -f stop ] && exit 0; done", TimeSpan.FromSeconds(60));
        await Eventually.SeesAsync(async () => (await box.StatsAsync(default)).Cpu, cpu => cpu > TimeSpan.FromMilliseconds(400));

        await box.FreezeAsync(default);
        await box.FreezeAsync(default);
        var before = (await box.StatsAsync(default)).Cpu;
        using var pause = new CancellationTokenSource(TimeSpan.FromMilliseconds(200), TimeProvider.System);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(pause.Token));
        var after = (await box.StatsAsync(default)).Cpu;

        Assert.True(after - before < TimeSpan.FromMilliseconds(5), $"{(after - before).TotalMilliseconds} ms of CPU while frozen");
        await box.MustAsync("echo > stop");
        Assert.IsType<ExecOutcome.Exited>(await running);
        await box.DestroyAsync();
    }

    /// <summary>What tells a command that hangs from one that works.</summary>
    [Fact]
    public async Task The_counters_of_a_box_whose_command_sleeps_stand_almost_still_and_rise_with_work_and_output()
    {
        var box = await boxes.CreateAsync();
        var sleeping = box.RunAsync("sleep 3");
        await Eventually.SeesAsync(async () => (await box.StatsAsync(default)).Processes, processes => processes > 1);
        using (var settled = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sleeping.WaitAsync(settled.Token));
        var before = await box.StatsAsync(default);
        using (var look = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sleeping.WaitAsync(look.Token));
        var after = await box.StatsAsync(default);

        // Of its programs, as IdleWatch counts it: a kernel of the box's own takes some percent of a core by itself.
        var asleep = after.Cpu - after.KernelCpu - (before.Cpu - before.KernelCpu);
        Assert.True(asleep < TimeSpan.FromMilliseconds(50), $"{asleep.TotalMilliseconds} ms of CPU asleep");
        Assert.True(after.IoBytes - before.IoBytes < 16 << 10, $"{after.IoBytes - before.IoBytes} bytes asleep");
        Assert.Equal(before.OutputBytes, after.OutputBytes);

        await sleeping;
        await box.MustAsync("head -c 3000000 /dev/zero > big; cat big > copy; echo 12345");
        var worked = await box.StatsAsync(default);
        Assert.Equal(after.OutputBytes + 6, worked.OutputBytes);
        Assert.True(worked.Cpu > after.Cpu && worked.IoBytes > after.IoBytes, $"{after} then {worked}");
        await box.DestroyAsync();
    }

    [Fact]
    public async Task A_destroyed_box_leaves_nothing_and_answers_lost()
    {
        var box = await boxes.CreateAsync();
        var busy = box.RunAsync("trap '' TERM INT HUP; while :; do :; done", TimeSpan.FromMinutes(1));
        await Eventually.SeesAsync(async () => (await box.StatsAsync(default)).Cpu, cpu => cpu > TimeSpan.FromMilliseconds(300));
        var folder = boxes.FolderOf(box);

        await Task.WhenAll(box.DestroyAsync(), box.DestroyAsync());

        Assert.IsType<ExecOutcome.Lost>(await busy);
        Assert.IsType<ExecOutcome.Lost>(await box.RunAsync("true"));
        Assert.IsType<FileReadOutcome.Lost>(await box.ReadFileAsync("x", 10, default));
        Assert.IsType<WorkspaceSaveOutcome.Failed>(await box.SaveWorkspaceAsync(default));
        Assert.NotNull(await box.RestoreWorkspaceAsync(null, default));
        await box.FreezeAsync(default);
        AssertGone(folder);
    }

    [Fact]
    public async Task A_frozen_box_is_destroyed_too()
    {
        var box = await boxes.CreateAsync();
        await box.FreezeAsync(default);

        await box.DestroyAsync();

        AssertGone(boxes.FolderOf(box));
    }

    [Fact]
    public async Task A_box_whose_runtime_is_killed_is_lost_and_leaves_nothing()
    {
        var box = await boxes.CreateAsync();
        var running = box.RunAsync("sleep 5001", TimeSpan.FromMinutes(1));
        var runtime = boxes.ProcessesOf(box).Where(p => p.Command.Split(' ')[0].Contains(BoxKinds.Runtime(boxes.Kind), StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(runtime);
        foreach (var (pid, _) in runtime)
            Libc.Kill(pid);

        Assert.Equal(ErrorCodes.SandboxLost, Assert.IsType<ExecOutcome.Lost>(await running).Failure.Code);
        await box.DestroyAsync();
        AssertGone(boxes.FolderOf(box));
    }

    [Fact]
    public async Task Boxes_die_with_a_killed_server_and_the_next_one_removes_the_rest()
    {
        var directory = Directory.CreateTempSubdirectory("caisson-owner-").FullName;
        using var owner = BoxOwner.Start(boxes.Kind, directory);
        Assert.Equal(BoxOwner.Ready, await owner.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(2), TimeProvider.System));
        var boxesOfOwner = Path.Combine(directory, "state", "boxes");
        await using var provider = boxes.Another(Boxes.Options(directory), new FileBlobStore(Path.Combine(directory, "blobs2"), new byte[32]));
        Assert.Empty(await provider.ListResidueAsync(default));
        Assert.NotEmpty(HostProcesses.OfBoxes(boxesOfOwner + "/"));

        owner.Kill();
        await owner.WaitForExitAsync();

        // Without anybody's help, the frozen one included.
        await Eventually.SeesAsync(() => Task.FromResult(HostProcesses.OfBoxes(boxesOfOwner + "/").Count()), count => count == 0);
        var residue = await provider.ListResidueAsync(default);
        Assert.Equal(2, residue.Count(r => r.Kind == "directory"));
        Assert.Empty(await provider.ReapAsync(residue, default));
        Assert.Empty(await provider.ListResidueAsync(default));
        Assert.Empty(Directory.EnumerateFileSystemEntries(boxesOfOwner));
        Assert.Empty(LoopDevices.Below(boxesOfOwner));
        await provider.DisposeAsync();
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task The_reaper_ends_frozen_boxes_whose_launcher_was_killed_with_the_server()
    {
        var directory = Directory.CreateTempSubdirectory("caisson-owner-").FullName;
        using var owner = BoxOwner.Start(boxes.Kind, directory);
        Assert.Equal(BoxOwner.Ready, await owner.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(2), TimeProvider.System));
        var boxesOfOwner = Path.Combine(directory, "state", "boxes");
        await using var provider = boxes.Another(Boxes.Options(directory), new FileBlobStore(Path.Combine(directory, "blobs2"), new byte[32]));

        foreach (var (pid, _) in HostProcesses.OfBoxes(boxesOfOwner + "/").Where(p => p.Command.Contains(" launch ", StringComparison.Ordinal)).ToList())
            Libc.Kill(pid);
        owner.Kill();
        await owner.WaitForExitAsync();

        var residue = await provider.ListResidueAsync(default);
        Assert.Contains(residue, r => r.Kind == "process");
        Assert.Empty(await provider.ReapAsync(residue, default));
        Assert.Empty(await provider.ListResidueAsync(default));
        Assert.Empty(HostProcesses.OfBoxes(boxesOfOwner + "/"));
        Assert.Empty(LoopDevices.Below(boxesOfOwner));
        await provider.DisposeAsync();
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task The_state_directory_may_have_a_long_name()
    {
        var directory = Path.Combine(boxes.Directory, new string('n', 120), "with a blank");
        Directory.CreateDirectory(directory);
        await using var provider = boxes.Another(Boxes.Options(directory));

        var started = await provider.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null), default);

        Assert.True(started is SandboxCreateOutcome.Started, (started as SandboxCreateOutcome.Refused)?.Failure.Message);
        Assert.Equal("here", await ((SandboxCreateOutcome.Started)started).Sandbox.MustAsync("echo here"));
    }

    [Fact]
    public async Task Boxes_start_side_by_side()
    {
        var started = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => boxes.CreateAsync()));

        Assert.Equal(6, (await Task.WhenAll(started.Select(b => b.MustAsync("echo alive")))).Count(text => text == "alive"));
        await Task.WhenAll(started.Select(b => b.DestroyAsync()));
        Assert.Empty(await boxes.Provider.ListResidueAsync(default));
    }

    /// <summary>Whatever of a box dies, at whatever moment, the rest goes with it. The seed is printed by a failure.</summary>
    [Fact]
    public async Task Random_kills_leave_nothing()
    {
        var seed = System.Security.Cryptography.RandomNumberGenerator.GetInt32(int.MaxValue);
        var random = new SeededNumbers(seed);
        for (var round = 0; round < Kills; round++)
        {
            var box = await boxes.CreateAsync();
            var busy = box.RunAsync("(setsid sleep 6001 &); while :; do echo x >> f; done", TimeSpan.FromMinutes(1));
            if (random.Next(2) == 0)
                await box.FreezeAsync(default);
            var victims = boxes.ProcessesOf(box).ToList();
            Assert.True(victims.Count >= 3, $"seed {seed}: only {victims.Count} processes of a live box");
            var victim = victims[random.Next(victims.Count)];

            Libc.Kill(victim.Id);
            await box.ThawAsync(default);

            var outcome = await busy.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System);
            Assert.True(outcome is ExecOutcome.Lost, $"seed {seed}, round {round}, killed {victim.Command}: {outcome}");
            await box.DestroyAsync();
            AssertGone(boxes.FolderOf(box));
        }

        Assert.Empty(await boxes.Provider.ListResidueAsync(default));
    }

    /// <summary>A linear congruential generator: enough to choose a victim, and the same again for the same seed.</summary>
    private sealed class SeededNumbers(int seed)
    {
        private uint _state = (uint)seed;

        public int Next(int below)
        {
            _state = _state * 1664525 + 1013904223;
            return (int)((_state >> 16) % (uint)below);
        }
    }

    private static void AssertGone(string folder)
    {
        Assert.False(Directory.Exists(folder));
        Assert.Empty(HostProcesses.OfBoxes(folder));
        Assert.Empty(LoopDevices.Below(folder));
        var layout = CgroupLayout.Detect(File.ReadAllText("/proc/self/mountinfo"), "x")!;
        foreach (var parent in layout.Parents.Select(p => Path.GetDirectoryName(p)!))
            Assert.Empty(Directory.EnumerateDirectories(parent, "caisson-*").SelectMany(d => Directory.EnumerateDirectories(d, Path.GetFileName(folder))));
    }
}
