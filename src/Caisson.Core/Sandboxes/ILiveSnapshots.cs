using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>Boxes copied while they live, and boxes that go on from such a copy. Ids are the caller's.</summary>
public interface ILiveSnapshots
{
    /// <summary>
    /// Copies a box, its processes and memory and files of one moment. It stands still meanwhile and goes on. On failure
    /// nothing is left of the copy.
    /// </summary>
    /// <param name="room">Bytes that the copy may take.</param>
    /// <param name="passing">For one fork and not to be kept: it is not listed, and the next start of the server removes it.</param>
    Task<LiveSnapshotOutcome> TakeAsync(string id, string box, CheckpointMark mark, long room, bool passing, CancellationToken cancellationToken);

    IReadOnlyList<LiveSnapshot> List();

    /// <summary>Starts a box whose processes go on where they stood. It lives until it is destroyed, at most as long as forks may.</summary>
    Task<SandboxCreateOutcome> ForkAsync(string id, CancellationToken cancellationToken);

    /// <summary>Idempotent.</summary>
    void Remove(string id);
}

public sealed record LiveSnapshot(string Id, string Box, DateTimeOffset Made, SandboxCheckpoint Checkpoint);

public abstract record LiveSnapshotOutcome
{
    public sealed record Taken(LiveSnapshot Snapshot) : LiveSnapshotOutcome;

    public sealed record Refused(Failure Failure) : LiveSnapshotOutcome;
}
