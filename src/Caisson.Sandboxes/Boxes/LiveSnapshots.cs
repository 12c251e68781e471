using Caisson.Contracts;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Boxes;

/// <summary>
/// Copies of live boxes on this host's disk, and the boxes that go on from them.
/// <para>
/// A fork has no owner. So somebody must listen to the commands that it brought with it, which would stand still when
/// nobody reads what they write; and somebody must end it when it is lost, or has lived for as long as a fork may. Both
/// is done here.
/// </para>
/// </summary>
public sealed class LiveSnapshots(BoxHost host, IReadOnlyList<BoxProvider> providers) : ILiveSnapshots
{
    /// <summary>For room on the host and for the start: a person waits.</summary>
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private static readonly ExecRequest Listen = new([], null, new Dictionary<string, string>(), default, TimeSpan.MaxValue, 0);

    /// <inheritdoc/>
    public async Task<LiveSnapshotOutcome> TakeAsync(string id, string box, CheckpointMark mark, long room, bool passing, CancellationToken cancellationToken)
    {
        if (host.FindBox(box) is not { } live)
            return new LiveSnapshotOutcome.Refused(new Failure(ErrorCodes.SandboxNotFound, $"there is no box '{box}' any more"));
        var (copy, failure) = await live.CopyAsync(new CheckpointFolder(host.Snapshots, id), mark, room, passing, cancellationToken);
        return copy is null ? new LiveSnapshotOutcome.Refused(failure!) : new LiveSnapshotOutcome.Taken(new LiveSnapshot(id, box, host.Time.GetUtcNow(), copy));
    }

    /// <inheritdoc/>
    public IReadOnlyList<LiveSnapshot> List() => !Directory.Exists(host.Snapshots) ? [] :
    [
        .. Directory.EnumerateDirectories(host.Snapshots)
            .Select(d => (Id: Path.GetFileName(d), Note: new CheckpointFolder(host.Snapshots, Path.GetFileName(d)).Note()))
            .Where(s => s.Note is { Snapshot.Passing: false })
            .Select(s => new LiveSnapshot(s.Id, s.Note!.Snapshot!.Box, s.Note.Snapshot.Made, s.Note.Checkpoint)),
    ];

    /// <inheritdoc/>
    public void Remove(string id) => new CheckpointFolder(host.Snapshots, id).Delete();

    /// <inheritdoc/>
    public async Task<SandboxCreateOutcome> ForkAsync(string id, CancellationToken cancellationToken)
    {
        var folder = new CheckpointFolder(host.Snapshots, id);
        if (folder.Note() is not { Snapshot: { } tag } note || providers.FirstOrDefault(p => p.Name == note.Checkpoint.Provider) is not { } provider)
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SnapshotNotFound, $"there is no snapshot '{id}' any more"));
        var mark = note.Checkpoint.Mark;
        var wait = "it did not start";
        var spec = new SandboxSpec(default, 0, tag.Limits, null)
        {
            Origin = new SandboxOrigin(tag.Passing ? null : id, tag.Box, mark.Run == default ? null : mark.Run, mark.Seq),
            Queued = reason =>
            {
                wait = $"there is no room for it ({reason})";
                return Task.CompletedTask;
            },
        };
        using var limit = new CancellationTokenSource(StartLimit, host.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            var outcome = await provider.ForkAsync(folder, note.Checkpoint, spec, either.Token);
            if (outcome is SandboxCreateOutcome.Started { Sandbox: Box box })
                Keep(box, note.Checkpoint.Commands);
            return outcome;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new SandboxCreateOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{wait} within {StartLimit.TotalSeconds} seconds: end a box with 'caisson sandbox rm', or try again later", Retryable: true));
        }
    }

    private void Keep(Box box, IReadOnlyList<uint> commands)
    {
        foreach (var command in commands)
            _ = box.ResumeExecAsync(command, Listen, CancellationToken.None);
        _ = EndAsync(box);
    }

    private async Task EndAsync(Box box)
    {
        using var over = new CancellationTokenSource();
        await Task.WhenAny(box.Lost, Task.Delay(host.Options.ForkLife, host.Time, over.Token));
        await over.CancelAsync();
        try
        {
            await box.DestroyAsync();
        }
        catch (CaissonException left)
        {
            // The reaper goes on with it.
            host.Log(left.Message);
        }
    }
}
