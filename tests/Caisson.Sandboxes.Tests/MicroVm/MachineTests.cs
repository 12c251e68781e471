using System.Text;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.MicroVm;
using Caisson.Sandboxes.Reaping;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Sandboxes.Tests.MicroVm;

/// <summary>Real machines, emulated where there is no KVM. There are few of them, since those start slowly.</summary>
public sealed class Machines() : Boxes("microvm", emulated: true);

[CollectionDefinition(nameof(Machines))]
public sealed class MachinesCollection : ICollectionFixture<Machines>;

[Collection(nameof(Machines))]
public sealed class MachineExecTests(Machines machines) : ExecTests(machines);

[Collection(nameof(Machines))]
public sealed class MachineFileTests(Machines machines) : FileTests(machines);

[Collection(nameof(Machines))]
public sealed class MachineLifeTests(Machines machines) : LifeTests(machines)
{
    // Each costs a start.
    protected override int Kills => 4;
}

[Collection(nameof(Machines))]
public sealed class MachineLimitTests(Machines machines) : LimitTests(machines);

[Collection(nameof(Machines))]
public sealed class MachineContainmentTests(Machines machines) : ContainmentTests(machines);

/// <summary>What is different where a box is a machine: all that crosses its port, its limits, its end.</summary>
[Collection(nameof(Machines))]
public sealed class MachineTests(Machines machines)
{
    private ISandbox Machine => machines.Shared;

    [Fact]
    public async Task A_command_runs_on_a_kernel_of_its_own_as_nobody_of_consequence()
    {
        var said = (await Machine.MustAsync("id -u; uname -r; pwd; ls /sys/class/net; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status")).Split('\n');

        Assert.Equal("10001", said[0]);
        Assert.NotEqual((await File.ReadAllTextAsync("/proc/sys/kernel/osrelease")).Trim(), said[1]);
        Assert.Equal("/workspace", said[2]);
        Assert.Contains("lo", said);
        Assert.DoesNotContain(said, line => line.StartsWith("eth", StringComparison.Ordinal));
        Assert.Contains("CapEff:\t0000000000000000", said);
        Assert.Contains("NoNewPrivs:\t1", said);
    }

    [Fact]
    public async Task What_belongs_to_the_machine_is_out_of_reach()
    {
        Assert.Equal("refused", await Machine.MustAsync("""
            for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /etc/passwd /usr/x /run/box/x /x; do
                (: >> $f) 2>/dev/null && echo "wrote $f"
            done
            ls /dev/vport0p1 /dev/vda /dev/mem /run/caisson 2>/dev/null
            dmesg >/dev/null 2>&1 && echo dmesg
            unshare -Ur true 2>/dev/null && echo unshare
            kill -9 1 2>/dev/null && echo killed
            echo refused
            """));
        // The control: it may write and signal what is its own.
        await Machine.MustAsync("echo > /tmp/own && echo > own && (sleep 60 & kill -9 $!)");
    }

    [Fact]
    public async Task Much_goes_in_and_out_at_once_and_whole()
    {
        var big = new byte[3 << 20];
        new Random(4).NextBytes(big);
        var input = Encoding.UTF8.GetString(big.Select(b => (byte)(b % 64 + 32)).ToArray());

        var commands = Enumerable.Range(0, 4).Select(_ => Machine.ExecAsync(BoxExtensions.Shell("cat", null, input, 4 << 20), default)).ToList();
        await Machine.WriteFileAsync("big", big, default);
        var read = Assert.IsType<FileReadOutcome.Found>(await Machine.ReadFileAsync("big", 4 << 20, default));

        foreach (var command in commands)
            Assert.Equal(input, Assert.IsType<ExecOutcome.Exited>(await command).Output.Text());
        Assert.Equal(big, read.Content.ToArray());
        await Machine.MustAsync("rm big");
    }

    [Fact]
    public async Task A_terminal_works_and_its_signals_are_the_kernels()
    {
        var opened = await Machine.OpenTerminalAsync(new TerminalRequest(["/bin/bash", "--norc", "-i"], null, new Dictionary<string, string> { ["TERM"] = "dumb" }, new TerminalSize(33, 111)), default);
        await using var shell = Assert.IsType<TerminalOutcome.Opened>(opened).Terminal;
        var screen = new Screen(shell);
        await shell.WriteAsync("stty size; sh -c 'echo star\"\"ted; exec sleep 600'\n"u8.ToArray(), default);
        await screen.ShowsAsync("33 111");
        await screen.ShowsAsync("started");

        await shell.WriteAsync("\u0003"u8.ToArray(), default);
        await shell.WriteAsync("exit 3\n"u8.ToArray(), default);

        Assert.Equal(3, (await shell.Ended.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System)).ExitCode);
    }

    [Fact]
    public async Task Files_ports_saves_restores_and_freezes_are_as_in_every_box()
    {
        var box = await machines.CreateAsync(new SandboxSpec(default, 1, new SandboxSettings(), null)
        {
            Forwards = [new BoxForward(8100, "shout", new Shout())],
            Files = new Dictionary<string, ReadOnlyMemory<byte>> { ["ca.pem"] = "certificate"u8.ToArray() },
        });
        const string Ask = "import socket; s=socket.create_connection(('127.0.0.1',8100),10); s.sendall(b'again'); s.shutdown(1); print(s.recv(99).decode())";

        Assert.Equal("certificate", await box.MustAsync("cat /run/box/ca.pem"));
        Assert.Equal("AGAIN", await box.MustAsync($"python3 -c \"{Ask}\""));

        // What it wrote, by a mapping too, is on the host's side at once; what the host put back is seen at once.
        await box.MustAsync("mkdir d; echo one > d/f; ln -s d/f link; python3 -c \"import mmap; f=open('m','w+b'); f.truncate(9); m=mmap.mmap(f.fileno(),9); m[:]=b'mapped-in'; m.close()\"");
        var root = await box.SavedAsync();
        var store = new Workspaces.WorkspaceStore(new FileBlobStore(Path.Combine(machines.Directory, "blobs"), new byte[32]));
        Assert.Equal("one\n"u8.ToArray(), (await store.ReadFileAsync(root, "d/f", default))!.Value.ToArray());
        Assert.Equal("mapped-in"u8.ToArray(), (await store.ReadFileAsync(root, "m", default))!.Value.ToArray());
        await box.MustAsync("echo two > d/f; rm link; echo more > new; (setsid sleep 4002 &)");
        Assert.Null(await box.RestoreWorkspaceAsync(root, default));
        Assert.Equal("one one", await box.MustAsync("echo $(cat d/f) $(cat link); test ! -e new; ! pgrep -f '[s]leep 4002' >/dev/null"));
        Assert.Equal("AGAIN", await box.MustAsync($"python3 -c \"{Ask}\""));

        // Frozen it uses nothing.
        var busy = box.RunAsync("while [ ! -e stop ]; do :; done", TimeSpan.FromSeconds(60));
        await box.FreezeAsync(default);
        var before = (await box.StatsAsync(default)).Cpu;
        using var pause = new CancellationTokenSource(TimeSpan.FromMilliseconds(200), TimeProvider.System);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => busy.WaitAsync(pause.Token));
        Assert.True((await box.StatsAsync(default)).Cpu - before < TimeSpan.FromMilliseconds(5));
        await box.MustAsync("echo > stop");
        Assert.IsType<ExecOutcome.Exited>(await busy);
        await box.DestroyAsync();
    }

    [Fact]
    public async Task Too_much_memory_ends_the_box_as_sandbox_oom_and_a_full_disk_does_not()
    {
        var box = await machines.CreateAsync(new SandboxSettings { MemoryBytes = 128L << 20, DiskBytes = 32L << 20 });
        var fill = Assert.IsType<ExecOutcome.Exited>(await box.RunAsync("head -c 100m /dev/zero > fill"));
        Assert.Contains("No space left on device", fill.Error.Text(), StringComparison.Ordinal);

        var outcome = await box.RunAsync("python3 -c 'x = [bytearray(1 << 20) for _ in range(400)]'");

        Assert.Equal(ErrorCodes.SandboxOom, Assert.IsType<ExecOutcome.Lost>(outcome).Failure.Code);
        await box.DestroyAsync();
    }

    [Fact]
    public async Task An_emulated_machine_is_never_offered_to_a_run()
    {
        Assert.NotNull(machines.Shared);
        var probe = await machines.Provider.ProbeAsync(default);

        if (machines.Provider.Tier == IsolationTier.Hardware)
        {
            Assert.True(probe.Offered, probe.Detail);
            return;
        }

        Assert.Equal(IsolationTier.Emulated, machines.Provider.Tier);
        Assert.False(probe.Offered);
        Assert.Contains("emulated", probe.Detail, StringComparison.Ordinal);
        Assert.NotNull(probe.Remedy);
    }

    [Fact]
    public async Task A_missing_kernel_is_told_with_its_remedy()
    {
        await using var provider = BoxProvider.MicroVm(new BoxHost(
            new SandboxOptions { StateDirectory = Path.Combine(machines.Directory, "other"), GuestPath = Boxes.Guest, MachineDirectory = "/no" },
            new FileBlobStore(Path.Combine(machines.Directory, "blobs3"), new byte[32]), TimeProvider.System, NullLogger.Instance), ownsHost: true);

        var probe = await provider.ProbeAsync(default);

        Assert.False(probe.Offered);
        Assert.Contains("/no", probe.Detail, StringComparison.Ordinal);
        Assert.Contains("scripts/setup", probe.Remedy!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("flags\t\t: fpu svm lm", true)]
    [InlineData("flags\t\t: fpu vmx", true)]
    [InlineData("flags\t\t: fpu lm nosvm\nbugs: svm", false)]
    [InlineData("", false)]
    public void Virtualization_is_what_the_processor_says(string cpuinfo, bool has) => Assert.Equal(has, CpuFlags.HasVirtualization(cpuinfo));
}
