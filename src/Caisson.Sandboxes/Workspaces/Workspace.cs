using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Native;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>
/// The files of one box as a tree of blobs, read and written from the host's side.
/// <para>
/// Nothing in the box moves meanwhile (it is frozen, or all of it but the agent is dead), and no link is followed: a
/// file is reached by open folders, one name at a time. Names are bytes.
/// </para>
/// <para>Unchanged files are not read again; see <see cref="WorkspaceMemory"/>.</para>
/// </summary>
/// <param name="diskBytes">Size of the disk, which bounds what a save reads: scattered holes read as far more than they hold.</param>
internal sealed class Workspace(IBlobStore blobs, TimeProvider time, long diskBytes)
{
    public const int MaxEntries = 1_000_000, MaxDepth = 200, MaxFolderEntries = 200_000, InlineLimit = 1024;
    public const long MaxFileBytes = 16L << 40;

    // What a save stored and no journal came to refer to may be swept after a while, so an old memory of it counts for nothing.
    private static readonly TimeSpan MemoryLasts = BlobPromise.KeptUnreferenced / 2;

    private WorkspaceMemory _memory = new();
    private DateTimeOffset _remembered;

    public async Task<WorkspaceSaveOutcome> SaveAsync(SafeFileHandle folder, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var save = new WorkspaceSave(now - _remembered < MemoryLasts ? _memory : new WorkspaceMemory(), blobs, diskBytes, now, cancellationToken);
        try
        {
            var root = await save.FolderAsync(folder, 0);
            await save.FlushAsync();
            (_memory, _remembered) = (save.Memory, now);
            return new WorkspaceSaveOutcome.Saved(new WorkspaceRoot(root));
        }
        catch (WorkspaceLimitException e)
        {
            return new WorkspaceSaveOutcome.Failed(new Failure(ErrorCodes.SandboxDisk, e.Message));
        }
        catch (NativeException e)
        {
            return new WorkspaceSaveOutcome.Failed(new Failure(ErrorCodes.StorageFailed, $"the workspace is not readable: {e.Message}", Retryable: true));
        }
        catch (CaissonException e)
        {
            return new WorkspaceSaveOutcome.Failed(e.ToFailure());
        }
    }

    /// <summary>Brings the folder to exactly the tree of the root, touching only what differs.</summary>
    public async Task<Failure?> RestoreAsync(SafeFileHandle folder, WorkspaceRoot? root, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var restore = new WorkspaceRestore(_memory, blobs, now, cancellationToken);
        try
        {
            await restore.FolderAsync(folder, root?.Hash, 0);
            (_memory, _remembered) = (restore.Memory, now);
            return null;
        }
        catch (NativeException e) when (e.Error is Libc.Enospc or Libc.Edquot)
        {
            return new Failure(ErrorCodes.SandboxDisk, "the saved workspace does not fit; raise sandbox.diskBytes");
        }
        catch (IOException e)
        {
            return new Failure(
                (e.HResult & 0xffff) == Libc.Enospc ? ErrorCodes.SandboxDisk : ErrorCodes.StorageFailed,
                $"the workspace cannot be restored: {e.Message}", Retryable: true);
        }
        catch (CaissonException e)
        {
            return e.ToFailure();
        }
    }
}

/// <summary>The workspace is larger in some way than may be saved.</summary>
internal sealed class WorkspaceLimitException(string message) : Exception(message);
