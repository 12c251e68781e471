namespace Caisson.Core.Sandboxes;

/// <summary>Reads saved workspaces without a box: for people who ask for a file of a run.</summary>
public interface IWorkspaceStore
{
    /// <summary>A regular file of a saved workspace. Links are not followed, in any component. <c>null</c> where there is none.</summary>
    Task<ReadOnlyMemory<byte>?> ReadFileAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken);

    /// <summary>Every file below the root, as paths relative to it, in byte order; at most <paramref name="maxEntries"/>.</summary>
    Task<IReadOnlyList<FileEntry>> ListAsync(WorkspaceRoot root, int maxEntries, CancellationToken cancellationToken);
}
