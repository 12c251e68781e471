using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>
/// Boxes that are virtual machines with a kernel of their own. Of tier <c>hardware</c> where KVM has truly booted one
/// here; else QEMU emulates a processor, which is for the development and tests of this path and no isolation.
/// </summary>
#pragma warning disable CA1001 // A semaphore without a wait handle holds nothing.
internal sealed class MicroVmKind(BoxHost host) : IBoxKind
#pragma warning restore CA1001
{
    /// <summary>QEMU's user on the host. Nothing belongs to it.</summary>
    private const int MachineUser = 10002;

    private const string Panic = "Kernel panic - not syncing: Out of memory";
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(10), VersionLimit = TimeSpan.FromSeconds(5);

    private readonly SemaphoreSlim _preparing = new(1);
    private Machine? _machine;

    public string Name => "microvm";

    /// <summary>Known once prepared; until then the least that it may turn out to be.</summary>
    public IsolationTier Tier => _machine?.Accelerator is Accelerator.Kvm ? IsolationTier.Hardware : IsolationTier.Emulated;

    public long StartBytes => 192L << 20;

    public bool FixesLimits => true;

    public string Remedy => "Run scripts/setup as root: it installs QEMU and puts a kernel for machines into " + SandboxOptions.ToolsDirectory + "/microvm.";

    public async Task<string?> PrepareAsync(CancellationToken cancellationToken)
    {
        if (_machine is not null)
            return null;
        await _preparing.WaitAsync(cancellationToken);
        try
        {
            if (_machine is not null)
                return null;
            var (tools, missing) = MachineTools.Find(host.Options);
            if (tools is null)
                return missing;
            var version = await OutsideProgram.RunAsync(tools.Qemu, ["--version"], VersionLimit, host.Time, cancellationToken);
            if (version.ExitCode != 0)
                return $"{tools.Qemu} does not run: {version.Output.Trim().Split('\n')[0]}";
            var initramfs = Path.Combine(host.Options.StateDirectory, "machine.cpio");
            await File.WriteAllBytesAsync(initramfs, Initramfs.Of(host.GuestPath, tools.Modules), cancellationToken);
            var why = await WhyNoKvmAsync(tools, initramfs, cancellationToken);
            var counter = await OutsideProgram.RunAsync(host.GuestPath, ["counter"], VersionLimit, host.Time, cancellationToken);
            if (counter.ExitCode != 0 || !long.TryParse(counter.Output.Trim(), CultureInfo.InvariantCulture, out var kilohertz))
                return $"{host.GuestPath} cannot say how fast the processor's counter runs: {counter.Output.Trim()}";
            _machine = new Machine(tools, initramfs, why is null ? new Accelerator.Kvm() : new Accelerator.Emulated(kilohertz), version.Output.Split('\n')[0].Trim(), why);
            return null;
        }
        finally
        {
            _preparing.Release();
        }
    }

    public string Describe() =>
        _machine!.WhyNoKvm is { } why ? $"{_machine.Version}, emulated and so no isolation: {why}" : $"{_machine.Version}, KVM";

    public Task<LaunchPlan> PlanAsync(BoxPlan box, CancellationToken cancellationToken)
    {
        var (folder, limits) = (box.Folder, box.Limits);
        var processors = Math.Clamp((int)Math.Ceiling(limits.Cpu), 1, Environment.ProcessorCount);
        var memory = limits.MemoryBytes + MachineCommand.KernelBytes;
        var root = Path.Combine(folder.Path, "vm");
        Directory.CreateDirectory(root);
        var carrier = SerialCarrier.Listen(folder.Path, "vm.sock", folder.Sockets, box.Lose);
        IReadOnlyList<string> starter =
        [
            host.GuestPath, "vm", "--user", $"{MachineUser}", "--carrier", $"{folder.Path}/vm.sock", "--kernel", _machine!.Tools.Kernel,
            "--initramfs", _machine.Initramfs, "--virtiofsd", _machine.Tools.Virtiofsd,
            "--tree", box.Root, "--mount", folder.Mount, "--files", folder.Files, "--root", root, "--",
        ];
        var command = MachineCommand.Write(_machine.Tools, _machine.Accelerator, new MachineSize(processors, memory, limits.Pids));
        return Task.FromResult(new LaunchPlan([.. starter, .. command], [])
        {
            Carrier = carrier,
            ExtraMemoryBytes = MachineCommand.KernelBytes + MachineCommand.HostBytes,
            Verdict = said => said.Contains(Panic, StringComparison.Ordinal) ? BoxVerdicts.OutOfMemory : null,
        });
    }

    /// <summary>Boots a machine with KVM; answers <c>null</c> where that went well, else why it is not used.</summary>
    private async Task<string?> WhyNoKvmAsync(MachineTools tools, string initramfs, CancellationToken cancellationToken)
    {
        if (!File.Exists("/dev/kvm"))
            return "there is no /dev/kvm";
        // A device of that name may also stand for virtualization in software, which runs its own kernels only.
        if (!CpuFlags.HasVirtualization(await File.ReadAllTextAsync("/proc/cpuinfo", cancellationToken)))
            return "the processor offers neither vmx nor svm";
        var command = MachineCommand.Probe(tools, new Accelerator.Kvm(), initramfs);
        var booted = await OutsideProgram.RunAsync(tools.Qemu, [.. command], BootLimit, host.Time, cancellationToken);
        return booted.Output.Contains(MachineCommand.Booted, StringComparison.Ordinal)
            ? null
            : $"with KVM no machine boots here: {booted.Output.Trim().Split('\n')[^1]}";
    }

    private sealed record Machine(MachineTools Tools, string Initramfs, Accelerator Accelerator, string Version, string? WhyNoKvm);
}

/// <summary>Reads /proc/cpuinfo. Pure.</summary>
internal static class CpuFlags
{
    public static bool HasVirtualization(string cpuinfo) =>
        cpuinfo.Split('\n').FirstOrDefault(l => l.StartsWith("flags", StringComparison.Ordinal))?.Split(' ').Any(f => f is "vmx" or "svm") == true;
}
