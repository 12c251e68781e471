using Caisson.Contracts;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Core.Sandboxes;

/// <summary>How many snapshots there may be at once, of both sorts, and how much disk the live ones may take together.</summary>
public sealed record SnapshotLimits(int Most, long MostBytes);

/// <param name="Root">Of the saved workspace; <c>null</c> for a live one, which has its files within it.</param>
/// <param name="Run">Whose box it was; <c>null</c> where it was nobody's.</param>
/// <param name="Seq">Where that run's journal stood.</param>
/// <param name="Bytes">On this host's disk; <c>null</c> for a saved workspace, which shares its blobs with others.</param>
public sealed record SnapshotInfo(string Id, bool IsLive, string Box, RunId? Run, long Seq, string? Root, long? Bytes, DateTimeOffset Made);

public abstract record SnapshotOutcome
{
    public sealed record Taken(SnapshotInfo Snapshot) : SnapshotOutcome;

    public sealed record Refused(Failure Failure) : SnapshotOutcome;
}

/// <summary>
/// What people keep of boxes: a workspace, by its root, in the store; or a live copy, on this host's disk. Both stay until
/// they are removed, which is why there are limits. A snapshot and a fork are beside the journal: nothing of them is
/// written there.
/// </summary>
public sealed class SandboxSnapshots(
    ISandboxRegistry boxes, ILiveSnapshots live, ISnapshotStore store, IRunReader runs, IAdmission disk, SnapshotLimits limits, TimeProvider clock, IIdSource ids) : IDisposable
{
    /// <summary>What the id of each begins with, so that it is no box's.</summary>
    public const string Prefix = "snap-";

    private const int IdLength = 16, ShortestPrefix = 4;

    /// <summary>Of all that add one: the limits hold for what stands, so one is taken after another.</summary>
    private readonly SemaphoreSlim _taking = new(1);

    /// <summary>Oldest first.</summary>
    public async Task<IReadOnlyList<SnapshotInfo>> ListAsync(CancellationToken cancellationToken)
    {
        var saved = await store.ListSnapshotsAsync(cancellationToken);
        return [.. saved.Select(s => new SnapshotInfo(s.Id, false, s.Box, s.Run, s.Seq, s.Root, null, s.At)).Concat(live.List().Select(Of)).OrderBy(s => s.Made)];
    }

    public async Task<SnapshotOutcome> TakeAsync(ISandbox box, bool alive, CancellationToken cancellationToken)
    {
        await _taking.WaitAsync(cancellationToken);
        try
        {
            var standing = await ListAsync(cancellationToken);
            if (standing.Count >= limits.Most)
                return Refuse($"{standing.Count} snapshots stand, allowed are {limits.Most} (sandbox.max_snapshots): 'caisson sandbox snapshots' lists them, 'caisson sandbox rm SNAPSHOT' removes one");
            var id = Prefix + ids.NextRandom().ToString("N")[..IdLength];
            return alive ? await CopyAsync(id, box, passing: false, cancellationToken) : await SaveAsync(id, box, cancellationToken);
        }
        finally
        {
            _taking.Release();
        }
    }

    public async Task<Failure?> RemoveAsync(string name, CancellationToken cancellationToken)
    {
        var (found, failure) = await FindAsync(name, cancellationToken);
        if (found is null)
            return failure;
        if (found.IsLive)
            live.Remove(found.Id);
        else
            await store.RemoveSnapshotAsync(found.Id, cancellationToken);
        return null;
    }

    /// <summary>A box that goes on from a live snapshot.</summary>
    public async Task<SandboxCreateOutcome> ForkAsync(string name, CancellationToken cancellationToken)
    {
        var (found, failure) = await FindAsync(name, cancellationToken);
        return found is null ? new SandboxCreateOutcome.Refused(failure!)
            : found.IsLive ? await live.ForkAsync(found.Id, cancellationToken)
            : new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SnapshotRefused, NoProcesses(found)));
    }

    /// <summary>A box that goes on from a live one, which goes on as well.</summary>
    public async Task<SandboxCreateOutcome> ForkAsync(ISandbox box, CancellationToken cancellationToken)
    {
        var id = ids.NextRandom().ToString("N")[..IdLength];
        await _taking.WaitAsync(cancellationToken);
        try
        {
            if (await CopyAsync(id, box, passing: true, cancellationToken) is SnapshotOutcome.Refused refused)
                return new SandboxCreateOutcome.Refused(refused.Failure);
        }
        finally
        {
            _taking.Release();
        }

        try
        {
            return await live.ForkAsync(id, cancellationToken);
        }
        finally
        {
            live.Remove(id);
        }
    }

    public void Dispose() => _taking.Dispose();

    private async Task<SnapshotOutcome> SaveAsync(string id, ISandbox box, CancellationToken cancellationToken)
    {
        var mark = await StandAsync(box, cancellationToken);
        await using var visit = box.Visit();
        switch (await box.SaveWorkspaceAsync(cancellationToken))
        {
            case WorkspaceSaveOutcome.Saved saved:
                var record = new SnapshotRecord(id, saved.Root.Hash, box.Id, RunOf(mark), mark.Seq, clock.GetUtcNow());
                await store.AddSnapshotAsync(record, cancellationToken);
                return new SnapshotOutcome.Taken(new SnapshotInfo(id, false, record.Box, record.Run, record.Seq, record.Root, null, record.At));
            case WorkspaceSaveOutcome.Failed failed:
                return new SnapshotOutcome.Refused(failed.Failure);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private async Task<SnapshotOutcome> CopyAsync(string id, ISandbox box, bool passing, CancellationToken cancellationToken)
    {
        if (disk.Refusal is { } full)
            return Refuse($"{full}: nothing is copied meanwhile");
        var mark = await StandAsync(box, cancellationToken);
        await using var visit = box.Visit();
        return await live.TakeAsync(id, box.Id, mark, limits.MostBytes - live.List().Sum(s => s.Checkpoint.Bytes), passing, cancellationToken) switch
        {
            LiveSnapshotOutcome.Taken taken => new SnapshotOutcome.Taken(Of(taken.Snapshot)),
            LiveSnapshotOutcome.Refused refused => new SnapshotOutcome.Refused(refused.Failure),
            _ => throw new InvalidOperationException("unreachable"),
        };
    }

    /// <summary>Where the run of a box stands; for a fork, where it came from.</summary>
    private async Task<CheckpointMark> StandAsync(ISandbox box, CancellationToken cancellationToken)
    {
        var info = boxes.List().FirstOrDefault(b => b.Id == box.Id);
        if (info?.Run is { } owner && await runs.FindAsync(owner, cancellationToken) is { } run)
            return new CheckpointMark(owner, run.LastSeq, run.Epoch, run.Summary.ToolCalls, run.Summary.WorkspaceRoot);
        return new CheckpointMark(info?.Origin?.Run ?? default, info?.Origin?.Seq ?? 0, 0, 0, null);
    }

    private async Task<(SnapshotInfo? Found, Failure? Failure)> FindAsync(string name, CancellationToken cancellationToken)
    {
        var fits = (await ListAsync(cancellationToken)).Where(s => s.Id == name || (name.Length >= Prefix.Length + ShortestPrefix && s.Id.StartsWith(name, StringComparison.Ordinal))).ToList();
        return fits switch
        {
            [var one] => (one, null),
            [] => (null, new Failure(ErrorCodes.SnapshotNotFound, $"there is no snapshot '{name}': 'caisson sandbox snapshots' lists them")),
            _ => (null, new Failure(ErrorCodes.RunConflict, $"several snapshots fit '{name}': give more of the id")),
        };
    }

    /// <summary>
    /// A fork of a run takes its files from the journal, at a place where a replay can stand. A snapshot may have been taken
    /// in the middle of a step, and holds what visitors changed: such files are in no journal, so it is not made a run's.
    /// </summary>
    private static string NoProcesses(SnapshotInfo snapshot) =>
        $"{snapshot.Id} holds files and no processes: take one with 'caisson sandbox snapshot --live'"
        + (snapshot.Run is { } run ? $", or 'caisson fork {run}' for another run from what its journal holds" : "");

    private static SnapshotInfo Of(LiveSnapshot s) => new(s.Id, true, s.Box, RunOf(s.Checkpoint.Mark), s.Checkpoint.Mark.Seq, null, s.Checkpoint.Bytes, s.Made);

    private static RunId? RunOf(CheckpointMark mark) => mark.Run == default ? null : mark.Run;

    private static SnapshotOutcome.Refused Refuse(string why) => new(new Failure(ErrorCodes.SnapshotRefused, why));
}
