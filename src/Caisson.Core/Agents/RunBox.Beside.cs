using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Sandboxes;

namespace Caisson.Core.Agents;

/// <summary>
/// Boxes beside the run's own: of the servers that its program calls. They are never kept and never saved, and end with
/// the turn of the program at the latest.
/// </summary>
internal sealed partial class RunBox
{
    private readonly Lock _besideLock = new();
    private readonly HashSet<ISandbox> _beside = [];

    /// <param name="log">Of what leaves it.</param>
    internal async Task<SandboxCreateOutcome> OpenBesideAsync(IEgressLog log, string? root, CancellationToken cancellationToken)
    {
        var (chosen, unavailable) = await ChooseAsync(cancellationToken);
        if (chosen is null)
            return new SandboxCreateOutcome.Refused(unavailable!);
        var spec = new SandboxSpec(session.Run, session.Epoch, session.Manifest.Sandbox, root is null ? null : new WorkspaceRoot(root)) { Queued = session.AwaitBoxAsync };
        var doors = egress?.Open(session.Manifest, log, await session.Egress.UsedAsync(cancellationToken));
        if (doors is not null)
            spec = spec with { Forwards = doors.Forwards, Environment = doors.Environment, Files = doors.Files };
        var outcome = await CreateAsync(chosen, spec, doors, cancellationToken);
        if (outcome is not SandboxCreateOutcome.Started { Sandbox: var box })
            return outcome;
        lock (_besideLock)
            _beside.Add(box);
        return outcome;
    }

    internal async Task CloseBesideAsync(ISandbox box)
    {
        lock (_besideLock)
            _beside.Remove(box);
        await DestroyAsync(box);
    }

    /// <summary>Nothing of them acts any more when this returns.</summary>
    internal async Task CloseBesideAsync()
    {
        ISandbox[] open;
        lock (_besideLock)
            open = [.. _beside];
        foreach (var box in open)
            await CloseBesideAsync(box);
    }
}
