using System.Runtime.InteropServices;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.MicroVm;

/// <summary>
/// What a machine is made of: QEMU, virtiofsd, and the distribution's cloud kernel with a few of its modules, which
/// scripts/setup puts into the tools folder.
/// </summary>
internal sealed record MachineTools(string Qemu, string Virtiofsd, string Kernel, IReadOnlyList<string> Modules)
{
    private static readonly string[] Virtiofsds = ["/usr/lib/qemu/virtiofsd"], Kernels = ["vmlinux", "vmlinuz"];

    /// <summary>Answers what is missing, in words, where they are not there.</summary>
    public static (MachineTools? Tools, string? Missing) Find(SandboxOptions options)
    {
        if (RuntimeInformation.OSArchitecture != Architecture.X64)
            return (null, "virtual machines are offered on x86-64 only");
        if (HostTools.Find(null, "qemu-system-x86_64") is not { } qemu)
            return (null, "qemu-system-x86_64 is not installed");
        if (Virtiofsds.FirstOrDefault(File.Exists) is not { } virtiofsd)
            return (null, "virtiofsd of QEMU 7 (package qemu-system-common of Debian 12) is not installed");
        var folder = options.MachineDirectory ?? Path.Combine(SandboxOptions.ToolsDirectory, "microvm");
        // Without compression where set-up could undo it: a machine then starts sooner.
        if (Kernels.Select(n => Path.Combine(folder, n)).FirstOrDefault(File.Exists) is not { } kernel)
            return (null, $"the machines' kernel is not in {folder}");
        return (new MachineTools(qemu, virtiofsd, kernel, Directory.GetFiles(folder, "*.ko")), null);
    }
}
