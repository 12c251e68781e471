using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;

namespace Caisson.Sandboxes.Boxes;

/// <summary>Boxes of one kind on this host. Several kinds share a <see cref="BoxHost"/>, which outlives them.</summary>
public sealed class BoxProvider : ISandboxProvider
{
    private static readonly TimeSpan ProbeCommandLimit = TimeSpan.FromSeconds(10);

    private readonly BoxHost _host;
    private readonly IBoxKind _kind;
    private readonly bool _ownsHost;
    private SandboxProbe? _probe;

    private BoxProvider(BoxHost host, IBoxKind kind, bool ownsHost) => (_host, _kind, _ownsHost) = (host, kind, ownsHost);

    /// <summary>Boxes on gVisor's user-space kernel.</summary>
    /// <param name="ownsHost">Whether the host ends with this provider: for one that shares it with none.</param>
    public static BoxProvider GVisor(BoxHost host, bool ownsHost = false) => new(host, new GVisor.GVisorKind(host.Options, host.Time), ownsHost);

    /// <summary>Boxes that are virtual machines. Their tier is known once they are probed.</summary>
    /// <param name="ownsHost">Whether the host ends with this provider: for one that shares it with none.</param>
    public static BoxProvider MicroVm(BoxHost host, bool ownsHost = false) => new(host, new MicroVm.MicroVmKind(host), ownsHost);

    /// <summary>Boxes on the host's own kernel, apart from it by namespaces and a filter of system calls.</summary>
    /// <param name="ownsHost">Whether the host ends with this provider: for one that shares it with none.</param>
    public static BoxProvider Bubblewrap(BoxHost host, bool ownsHost = false) => new(host, new Bubblewrap.BubblewrapKind(host.Options, host.Time), ownsHost);

    /// <inheritdoc/>
    public string Name => _kind.Name;

    /// <inheritdoc/>
    public IsolationTier Tier => _kind.Tier;

    /// <inheritdoc/>
    public async Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken)
    {
        if (_probe is not null)
            return _probe;
        if (await PrepareAsync(cancellationToken) is { } missing)
            return new SandboxProbe(false, missing, _kind.Remedy);
        // It can make boxes, for whoever works on it; no run gets one.
        if (_kind.Tier == IsolationTier.Emulated)
            return new SandboxProbe(false, _kind.Describe(), "Use a host whose /dev/kvm boots machines; within a machine that needs nested virtualization.");
        var created = await CreateAsync(new SandboxSpec(default, 0, new SandboxSettings(), null), cancellationToken);
        if (created is SandboxCreateOutcome.Refused refused)
            return new SandboxProbe(false, refused.Failure.Message, _kind.Remedy);
        var sandbox = ((SandboxCreateOutcome.Started)created).Sandbox;
        try
        {
            // Runs, and cannot open what would change the host; that the shell can write at all is the control.
            const string Script = "echo x > /workspace/probe || exit 3; (: > /proc/sys/kernel/core_pattern) 2>/dev/null && exit 4; exit 0";
            var request = new ExecRequest(["/bin/sh", "-c", Script], null, new Dictionary<string, string>(), default, ProbeCommandLimit, 1024);
            return await sandbox.ExecAsync(request, cancellationToken) switch
            {
                ExecOutcome.Exited { ExitCode: 0 } => _probe = new SandboxProbe(true, _kind.Describe(), null),
                ExecOutcome.Exited e => new SandboxProbe(false, $"the probe's command in a box ended with {e.ExitCode}", _kind.Remedy),
                var other => new SandboxProbe(false, $"the probe's command in a box: {other}", _kind.Remedy),
            };
        }
        finally
        {
            await sandbox.DestroyAsync();
        }
    }

    /// <inheritdoc/>
    public async Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken)
    {
        if (BoxLimits.Complaint(spec.Limits) is { } complaint)
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.ManifestInvalid, complaint));
        if (await PrepareAsync(cancellationToken) is { } missing)
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{missing}. {_kind.Remedy}"));
        return await _host.CreateAsync(_kind, spec, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task<SandboxCreateOutcome> RestoreAsync(SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken) =>
        await PrepareAsync(cancellationToken) is { } missing
            ? new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{missing}. {_kind.Remedy}"))
            : await _host.RestoreAsync(_kind, checkpoint, spec, cancellationToken);

    /// <summary>A box from a live snapshot.</summary>
    internal async Task<SandboxCreateOutcome> ForkAsync(CheckpointFolder folder, SandboxCheckpoint copy, SandboxSpec spec, CancellationToken cancellationToken) =>
        await PrepareAsync(cancellationToken) is { } missing
            ? new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{missing}. {_kind.Remedy}"))
            : await _host.RestoreAsync(_kind, copy, spec, cancellationToken, folder);

    /// <inheritdoc/>
    public SandboxCheckpoint? FindCheckpoint(RunId run) => _host.FindCheckpoint(_kind.Name, run);

    /// <inheritdoc/>
    public void Discard(SandboxCheckpoint checkpoint) => _host.Discard(checkpoint);

    /// <inheritdoc/>
    public Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken) =>
        Task.FromResult(_host.Reaper(_kind.Name)?.List() ?? []);

    /// <inheritdoc/>
    public async Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken) =>
        _host.Reaper(_kind.Name) is { } reaper ? await reaper.ReapAsync(residue) : [];

    /// <summary>Ends its boxes.</summary>
    public async ValueTask DisposeAsync()
    {
        await _host.EndAllAsync(_kind.Name);
        if (_ownsHost)
            await _host.DisposeAsync();
    }

    private async Task<string?> PrepareAsync(CancellationToken cancellationToken) =>
        await _host.PrepareAsync(cancellationToken) ?? await _kind.PrepareAsync(cancellationToken);
}
