using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>
/// A box as it stood, processes and memory and files, kept on this host's disk. It can be had back by the same version of
/// the same provider on the same image, once or more often.
/// </summary>
/// <param name="Id">Of its folder on this host.</param>
/// <param name="Commands">Commands that were under way; they come back with the box.</param>
/// <param name="Bytes">On disk, the workspace's disk included.</param>
public sealed record SandboxCheckpoint(string Id, string Provider, string Version, string Image, long DiskBytes, IReadOnlyList<uint> Commands, long Bytes)
{
    /// <summary>Where its run stood.</summary>
    public required CheckpointMark Mark { get; init; }
}

/// <summary>Where a run stood when its box was kept: the box fits the run only while nothing of this has changed.</summary>
/// <param name="Seq">The journal's last place then.</param>
/// <param name="ToolCalls">Completed until then. A later one was in another box.</param>
/// <param name="Workspace">Root of the files as the journal has them; <c>null</c> for none yet.</param>
public sealed record CheckpointMark(RunId Run, long Seq, long Epoch, long ToolCalls, string? Workspace)
{
    /// <summary>Whether a box that was kept there may go on here.</summary>
    public bool Fits(CheckpointMark now) => now with { Seq = Seq, Epoch = Epoch } == this && now.Seq >= Seq && now.Epoch >= Epoch;
}

public abstract record CheckpointOutcome
{
    /// <summary>The box has ended; what it was is in the checkpoint.</summary>
    public sealed record Taken(SandboxCheckpoint Checkpoint) : CheckpointOutcome;

    /// <summary>None was taken, and the box goes on as if nothing had been asked.</summary>
    public sealed record Refused(Failure Failure) : CheckpointOutcome;

    /// <summary>None was taken, and the box is gone.</summary>
    public sealed record Lost(Failure Failure) : CheckpointOutcome;
}
