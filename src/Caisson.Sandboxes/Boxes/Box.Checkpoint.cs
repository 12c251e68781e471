using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Protocol;

namespace Caisson.Sandboxes.Boxes;

/// <summary>To disk, and commands that came from there.</summary>
#pragma warning disable CA1001 // See Box.cs.
internal sealed partial class Box
#pragma warning restore CA1001
{
    /// <summary>Whether it was ended on purpose, and is no loss.</summary>
    private bool _ended;

    public async Task<CheckpointOutcome> CheckpointAsync(CheckpointMark mark, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (_parts.Checkpoints is not { } checkpoints)
                return new CheckpointOutcome.Refused(new Failure(ErrorCodes.SandboxUnavailable, $"{Kind} takes no checkpoints here"));
            if (StaysThawed || Volatile.Read(ref _fileCalls) > 0)
                return new CheckpointOutcome.Refused(new Failure(ErrorCodes.RunConflict, "a terminal or a file call is open in the box, or somebody visits it", Retryable: true));
            ThawNeedsTurn();
            return await TakeNeedsTurnAsync(checkpoints, mark, cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    public async Task<ExecOutcome> ResumeExecAsync(uint command, ExecRequest request, CancellationToken cancellationToken)
    {
        if (_parts.Commands.FirstOrDefault(c => c.Id == command) is not { } ticket)
            return new ExecOutcome.NotStarted(new Failure(ErrorCodes.RequestInvalid, $"the box has not brought a command {command} with it"));
        await ThawAsync(cancellationToken);
        var outcome = await InCommandAsync(() => GuestExec.ResumeAsync(_link, ticket, request, _time, cancellationToken));
        return outcome is ExecOutcome.Lost ? new ExecOutcome.Lost(await LoseAsync()) : outcome;
    }

    /// <summary>
    /// 1. The guest leaves. 2. The kind writes the box and ends it. 3. The disk goes into the checkpoint as it is: nothing
    /// writes there any more. 4. The note. What fails before 2 leaves the box as it was; whatever fails later, it is lost.
    /// </summary>
    private async Task<CheckpointOutcome> TakeNeedsTurnAsync((IBoxCheckpoints Kind, string Folder) checkpoints, CheckpointMark mark, CancellationToken cancellationToken)
    {
        var folder = new CheckpointFolder(checkpoints.Folder, Id);
        // 1.
        var commands = _link.Running.Values.Select(c => c.Ticket).ToList();
        if (await _link.DetachAsync(cancellationToken) is { } stays)
        {
            if (!_link.IsDetached)
                return new CheckpointOutcome.Refused(stays);
            _link.Break(stays);
            return new CheckpointOutcome.Lost(await _lost);
        }

        commands = [.. commands.Where(c => _link.Running.ContainsKey(c.Id))];
        try
        {
            // 2.
            folder.Create();
            _ended = true;
            if (await checkpoints.Kind.TakeAsync(_folder, _process.Id, folder.State, CancellationToken.None) is { } failure)
            {
                _ended = false;
                folder.Delete();
                using var limit = new CancellationTokenSource(EndLimit, _time);
                if (!_process.Exited.IsCompleted && await ComeBackAsync(limit.Token))
                    return new CheckpointOutcome.Refused(failure);
                _link.Break(failure);
                return new CheckpointOutcome.Lost(await _lost);
            }

            // 3.
            Native.Libc.SyncFileSystem(_workspaceFolder);
            _link.Break(new Failure(ErrorCodes.SandboxLost, "the box is kept in a checkpoint"));
            await _lost;
            File.Move(_folder.Image, folder.Disk);
            // 4.
            return new CheckpointOutcome.Taken(folder.Conclude(this, mark, checkpoints.Kind.Version, commands));
        }
        catch (IOException e)
        {
            _link.Break(new Failure(ErrorCodes.StorageFailed, $"the checkpoint was not kept: {e.Message}"));
            return new CheckpointOutcome.Lost(await _lost);
        }
    }

    private async Task<bool> ComeBackAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _link.AttachAsync(cancellationToken) is null;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
