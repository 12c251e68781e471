using Caisson.Contracts;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.Bubblewrap;

/// <summary>
/// Boxes on the host's own kernel: namespaces by bubblewrap, a filter of system calls by the guest agent
/// (guest/hostkernel.c). For code that is trusted not to attack a kernel.
/// <para>
/// bwrap is never started as root of the host: as root, the host's kernel settings could be written from inside. The
/// launcher gives it a user namespace in which nobody is root outside, see guest/userns.c.
/// </para>
/// </summary>
internal sealed class BubblewrapKind(SandboxOptions options, TimeProvider time) : IBoxKind
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(10);

    private string? _bwrap;
    private string _version = "";

    public string Name => "bubblewrap";

    public IsolationTier Tier => IsolationTier.Process;

    public long StartBytes => 16L << 20;

    public bool FixesLimits => false;

    public string Remedy => "Run scripts/setup as root: it installs bubblewrap and builds the guest agent into " + SandboxOptions.ToolsDirectory + ".";

    public async Task<string?> PrepareAsync(CancellationToken cancellationToken)
    {
        if (_bwrap is not null)
            return null;
        if (HostTools.Find(options.BwrapPath, "bwrap") is not { } bwrap)
            return options.BwrapPath is { } named ? $"{named}, named as sandbox.bwrap, is not there" : "bubblewrap is not installed";
        var version = await OutsideProgram.RunAsync(bwrap, ["--version"], ProbeLimit, time, cancellationToken);
        var help = await OutsideProgram.RunAsync(bwrap, ["--help"], ProbeLimit, time, cancellationToken);
        if (version.ExitCode != 0)
            return $"{bwrap} does not run: {version.Output.Trim().Split('\n')[0]}";
        // The youngest of the options that are used.
        if (!help.Output.Contains("--size ", StringComparison.Ordinal))
            return $"{bwrap} is {version.Output.Trim()}, which is older than 0.8 and cannot bound a temporary folder";
        _version = version.Output.Trim();
        _bwrap = bwrap;
        return null;
    }

    public string Describe() => $"{_version}, on the host's kernel {Environment.OSVersion.Version}";

    public Task<LaunchPlan> PlanAsync(BoxPlan box, CancellationToken cancellationToken) =>
        Task.FromResult(BubblewrapCommand.Write(_bwrap!, box.Root, box.Folder, box.Limits.MemoryBytes));
}
