using System.Globalization;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>The command line of a machine. Pure.</summary>
internal static class MachineCommand
{
    /// <summary>What the guest's kernel keeps to itself of its memory: its code, page tables, its first file system.</summary>
    public const long KernelBytes = 128L << 20;

    /// <summary>QEMU, four processes of virtiofsd, and what they hold for the guest.</summary>
    public const long HostBytes = 192L << 20;

    /// <summary>What a machine says that was only to boot; see guest/guest.h.</summary>
    public const string Booted = "caisson: the machine boots";

    private const long LargestTemporary = 256L << 20, MiB = 1L << 20;

    /// <summary>See guest/vm.c for the numbers of the open connections.</summary>
    public static IReadOnlyList<string> Write(MachineTools tools, Accelerator accelerator, MachineSize box) =>
    [
        tools.Qemu, .. Hardware(accelerator, box.Processors, box.MemoryBytes / MiB), .. Boot(accelerator, "/proc/self/fd/14", "/proc/self/fd/13", [
            $"CAISSON_PIDS={box.Pids}", $"CAISSON_TMP={Math.Min(LargestTemporary, box.MemoryBytes / 2)}"]),
        "-chardev", "socket,id=link,fd=10", "-device", "virtio-serial-device,max_ports=2", "-device", "virtserialport,chardev=link,nr=1",
        "-chardev", "socket,id=root,fd=11", "-device", "vhost-user-fs-device,chardev=root,tag=root",
        "-chardev", "socket,id=box,fd=12", "-device", "vhost-user-fs-device,chardev=box,tag=box",
    ];

    /// <summary>A machine that says that it boots, and ends.</summary>
    public static IReadOnlyList<string> Probe(MachineTools tools, Accelerator accelerator, string initramfs) =>
        [.. Hardware(accelerator, 1, 128), .. Boot(accelerator, tools.Kernel, initramfs, ["CAISSON_PROBE=1"])];

    private static IEnumerable<string> Hardware(Accelerator accelerator, int processors, long mebibytes) =>
    [
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-M", "microvm,acpi=on,rtc=on,pic=off,pit=off,isa-serial=on,memory-backend=ram", "-global", "virtio-mmio.force-legacy=false",
        // Shared memory, because virtiofsd reads and writes in it.
        "-object", $"memory-backend-memfd,id=ram,size={mebibytes}M,share=on", "-m", mebibytes.ToString(CultureInfo.InvariantCulture),
        "-smp", processors.ToString(CultureInfo.InvariantCulture),
        // Without arch-capabilities: some hosts let it be asked for but not set.
        .. accelerator is Accelerator.Kvm ? (string[])["-accel", "kvm", "-cpu", "host,-arch-capabilities"] : ["-accel", "tcg,tb-size=64", "-cpu", "max"],
    ];

    private static IEnumerable<string> Boot(Accelerator accelerator, string kernel, string initramfs, IEnumerable<string> settings)
    {
        // The console speaks of panics only.
        var line = "console=ttyS0 loglevel=1 quiet panic=-1 reboot=t random.trust_cpu=on";
        // A kernel that has to find out how fast an emulated counter runs sometimes does not, and then waits for ever for a
        // tick of a timer that it has not set. And an emulated processor has no mistakes to be mitigated.
        if (accelerator is Accelerator.Emulated { CounterKilohertz: var kilohertz })
            line += $" tsc=reliable tsc_early_khz={kilohertz} no_timer_check lpj=4000000 mitigations=off";
        return ["-kernel", kernel, "-initrd", initramfs, "-append", $"{line} {string.Join(' ', settings)}", "-serial", "stdio"];
    }
}

/// <param name="MemoryBytes">Of the whole machine.</param>
internal sealed record MachineSize(int Processors, long MemoryBytes, int Pids);

/// <summary>What runs the machine's instructions.</summary>
internal abstract record Accelerator
{
    /// <summary>QEMU's emulator: slow, and no isolation worth the name.</summary>
    /// <param name="CounterKilohertz">Of the host's counter, which the emulated processor hands on.</param>
    public sealed record Emulated(long CounterKilohertz) : Accelerator;

    /// <summary>The processor's own virtualization.</summary>
    public sealed record Kvm : Accelerator;
}
