using Caisson.Contracts;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.GVisor;

/// <summary>Boxes on gVisor's user-space kernel, without a network stack of the host behind them.</summary>
internal sealed class GVisorKind(SandboxOptions options, TimeProvider time) : IBoxKind
{
    private Runsc? _runsc;

    public string Name => "gvisor";

    public IsolationTier Tier => IsolationTier.Kernel;

    // Programs of the box are processes of its platform beside it.
    public string Kernel => "runsc-sandbox";

    public long StartBytes => 48L << 20;

    public bool FixesLimits => false;

    public string Remedy => "Run scripts/setup as root: it installs runsc and builds the guest agent into " + SandboxOptions.ToolsDirectory + ".";

    public async Task<string?> PrepareAsync(CancellationToken cancellationToken)
    {
        if (_runsc is not null)
            return null;
        var (runsc, missing) = await Runsc.FindAsync(options, time, cancellationToken);
        _runsc = runsc;
        // ptrace's checkpoints failed, or cost the box, where systrap's worked.
        if (runsc is { HasSystrap: true })
            Checkpoints = new GVisorCheckpoints(runsc, options, time);
        return missing;
    }

    public IBoxCheckpoints? Checkpoints { get; private set; }

    public string Describe() => $"{_runsc!.Version}, {(_runsc.HasSystrap ? "systrap" : "ptrace")}";

    public async Task<LaunchPlan> PlanAsync(BoxPlan box, CancellationToken cancellationToken)
    {
        var folder = box.Folder;
        await File.WriteAllBytesAsync(folder.Configuration, OciBundle.Write(box.Root, folder, box.Limits.MemoryBytes), cancellationToken);
        return new LaunchPlan(_runsc!.RunCommand(folder.RunscState, folder.Path, folder.Id, options.DirectFiles), []);
    }
}
