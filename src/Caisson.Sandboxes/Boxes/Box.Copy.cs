using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Boxes;

/// <summary>A copy of the box to disk, while it lives on.</summary>
internal sealed partial class Box
{
    /// <summary>Ends with the box, and says why.</summary>
    public Task<Failure> Lost => _lost;

    /// <param name="room">Bytes that the copy may take.</param>
    /// <param name="cancellationToken">Heard until the copy begins: the box must not be left in the middle of it.</param>
    public async Task<(SandboxCheckpoint? Copy, Failure? Failure)> CopyAsync(CheckpointFolder folder, CheckpointMark mark, long room, bool passing, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (Uncopyable(room) is { } reason)
                return (null, new Failure(ErrorCodes.SnapshotRefused, reason));
            ThawNeedsTurn();
            return await CopyNeedsTurnAsync(_parts.Checkpoints!.Value.Kind, folder, mark, passing);
        }
        finally
        {
            _turn.Release();
        }
    }

    private string? Uncopyable(long room)
    {
        if (_parts.Checkpoints is null)
            return $"a {Kind} box cannot be copied while it lives, only one of gvisor with its platform systrap can: without --live its files are saved";
        if (Spec.Forwards.Count > 0)
            return "the box has ways out (egress or services), and a copy must not go on with them: without --live its files are saved";
        if (Volatile.Read(ref _terminals) > 0)
            return "a terminal is open in the box, and no copy can hold that: close it first";
        if (Volatile.Read(ref _fileCalls) > 0)
            return "a file is being copied or read just now: try again";
        if (_link.Running.Values.Any(c => c.HasInput))
            return "a command in the box still reads its standard input: try again when it has ended";
        var most = _cgroup.Counters().MemoryBytes + Libc.AllocatedBytes(_folder.Image);
        return most > room
            ? $"the copy may take {Core.Sizes.Text(most)}, and of what live snapshots may take (sandbox.max_snapshot_bytes) {Core.Sizes.Text(Math.Max(0, room))} are left: remove one with 'caisson sandbox rm SNAPSHOT'"
            : null;
    }

    /// <summary>
    /// 1. The guest leaves. 2. The kind writes the box, and the disk is copied while it stands still. 3. The guest comes
    /// back: if it does not, the box is lost. 4. The note, with which the copy is whole. What fails leaves nothing of it.
    /// </summary>
    private async Task<(SandboxCheckpoint? Copy, Failure? Failure)> CopyNeedsTurnAsync(IBoxCheckpoints kind, CheckpointFolder folder, CheckpointMark mark, bool passing)
    {
        // 1.
        var commands = _link.Running.Values.Select(c => c.Ticket).ToList();
        if (await _link.DetachAsync(CancellationToken.None) is { } stays)
        {
            if (!_link.IsDetached)
                return (null, stays);
            _link.Break(stays);
            return (null, await _lost);
        }

        commands = [.. commands.Where(c => _link.Running.ContainsKey(c.Id))];
        Failure? failure;
        try
        {
            // 2.
            folder.Create();
            failure = await kind.CopyAsync(_folder, _process.Id, folder.State, () => CopyDiskAsync(folder));
        }
        catch (IOException e)
        {
            failure = Unwritten(e);
        }

        // 3.
        using var limit = new CancellationTokenSource(EndLimit, _time);
        if (!await ComeBackAsync(limit.Token))
        {
            _link.Break(failure ?? new Failure(ErrorCodes.SandboxLost, "the box did not come back from a copy of it", Retryable: true));
            failure = await _lost;
        }

        // 4.
        try
        {
            if (failure is null)
                return (folder.Conclude(this, mark, kind.Version, commands, new SnapshotTag(Id, Spec.Limits, _time.GetUtcNow(), passing)), null);
        }
        catch (IOException e)
        {
            failure = Unwritten(e);
        }

        folder.Delete();
        return (null, IsLost ? failure : failure with { Code = ErrorCodes.SnapshotRefused, Message = $"the box was not copied and goes on: {failure.Message}" });
    }

    private async Task<Failure?> CopyDiskAsync(CheckpointFolder folder)
    {
        Libc.SyncFileSystem(_workspaceFolder);
        return await DiskCopy.RunAsync(_folder.Image, folder.Disk, _time, CancellationToken.None) is { } problem ? new Failure(ErrorCodes.StorageFailed, problem) : null;
    }

    private static Failure Unwritten(IOException e) => new(ErrorCodes.StorageFailed, $"it cannot be written ({e.Message})");
}
