using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>
/// A box as it stood, processes and memory and files, kept on this host's disk. It can be had back by the same version of
/// the same provider on the same image, once or more often.
/// </summary>
/// <param name="Id">Of its folder on this host.</param>
/// <param name="Commands">Commands that were under way; they come back with the box.</param>
/// <param name="Bytes">On disk, the workspace's disk included.</param>
public sealed record SandboxCheckpoint(string Id, string Provider, string Version, string Image, long DiskBytes, IReadOnlyList<uint> Commands, long Bytes);

public abstract record CheckpointOutcome
{
    /// <summary>The box has ended; what it was is in the checkpoint.</summary>
    public sealed record Taken(SandboxCheckpoint Checkpoint) : CheckpointOutcome;

    /// <summary>None was taken, and the box goes on as if nothing had been asked.</summary>
    public sealed record Refused(Failure Failure) : CheckpointOutcome;

    /// <summary>None was taken, and the box is gone.</summary>
    public sealed record Lost(Failure Failure) : CheckpointOutcome;
}
