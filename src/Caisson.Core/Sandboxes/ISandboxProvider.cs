using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>
/// Makes boxes of one kind. Every call to an outside program has a hard time limit; nothing here throws for what a
/// box or a program does, it answers with an outcome.
/// </summary>
public interface ISandboxProvider : IAsyncDisposable
{
    /// <summary>Short and stable: <c>gvisor</c>.</summary>
    string Name { get; }

    /// <summary>How strong its boxes are. Known once probed; until then the least that it may turn out to be.</summary>
    IsolationTier Tier { get; }

    /// <summary>Really starts a box and runs a command in it. Cached after the first success.</summary>
    Task<SandboxProbe> ProbeAsync(CancellationToken cancellationToken);

    /// <summary>Starts a box with the run's workspace restored in it. On failure nothing is left behind.</summary>
    Task<SandboxCreateOutcome> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken);

    /// <summary>Starts a box from a checkpoint, with its own files: the spec's workspace counts for nothing. On failure nothing is left but the checkpoint.</summary>
    Task<SandboxCreateOutcome> RestoreAsync(SandboxCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken);

    /// <summary>The newest checkpoint of a run's box on this host.</summary>
    SandboxCheckpoint? FindCheckpoint(RunId run);

    /// <summary>Forgets a checkpoint. Idempotent.</summary>
    void Discard(SandboxCheckpoint checkpoint);

    /// <summary>What stands on this host under our prefix and belongs to no box of this process: found in cgroups, /proc, mounts and folders.</summary>
    Task<IReadOnlyList<SandboxResidue>> ListResidueAsync(CancellationToken cancellationToken);

    /// <summary>Removes what <see cref="ListResidueAsync"/> found and verifies that it is gone. Idempotent; answers what would not go.</summary>
    Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue, CancellationToken cancellationToken);
}

/// <param name="Offered">Whether boxes can be had.</param>
/// <param name="Detail">Version and platform, or why not.</param>
/// <param name="Remedy">What to do where it is not offered.</param>
public sealed record SandboxProbe(bool Offered, string Detail, string? Remedy);

/// <param name="Run">The run that the box belongs to; for names in logs and lists only, never a path.</param>
/// <param name="Workspace">The saved workspace to restore, or <c>null</c> for an empty one.</param>
public sealed record SandboxSpec(RunId Run, long Epoch, SandboxSettings Limits, WorkspaceRoot? Workspace)
{
    /// <summary>Told, in words, why the box has to wait for room on the host; not called where it need not.</summary>
    public Func<string, Task>? Queued { get; init; }

    /// <summary>Ports of the box's loopback that lead out of it. Without any there is no way out.</summary>
    public IReadOnlyList<BoxForward> Forwards { get; init; } = [];

    /// <summary>Of every command in the box; what a command brings itself goes before.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Of a fork: what it goes on from. Nobody owns it, so it is never frozen.</summary>
    public SandboxOrigin? Origin { get; init; }

    /// <summary>Files that everybody in the box may read, by their names below <c>/run/box</c>.</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; init; } = new Dictionary<string, ReadOnlyMemory<byte>>();
}

/// <summary>What a fork went on from. It belongs to no run, and nothing that happens in it stands in a journal.</summary>
/// <param name="Snapshot"><c>null</c> where it was forked from a live box at once.</param>
/// <param name="Run">Whose box that was; <c>null</c> where it was nobody's.</param>
/// <param name="Seq">Where that run's journal stood.</param>
public sealed record SandboxOrigin(string? Snapshot, string Box, RunId? Run, long Seq);

/// <summary>Content address of a saved workspace: equal trees have equal roots.</summary>
public readonly record struct WorkspaceRoot(string Hash)
{
    public override string ToString() => Hash;
}

public abstract record SandboxCreateOutcome
{
    public sealed record Started(ISandbox Sandbox) : SandboxCreateOutcome;

    public sealed record Refused(Failure Failure) : SandboxCreateOutcome;
}

/// <param name="Kind"><c>process</c>, <c>cgroup</c>, <c>mount</c>, <c>loop</c>, <c>directory</c>.</param>
public sealed record SandboxResidue(string Kind, string Name)
{
    /// <summary>The run whose box it belonged to, where that is known.</summary>
    public RunId? Run { get; init; }
}
