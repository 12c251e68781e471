using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>Saved workspaces without a box: for people who ask for a file of a run, and for what stays of one that has ended.</summary>
public interface IWorkspaceStore
{
    /// <summary>A regular file of a saved workspace. Links are not followed, in any component. <c>null</c> where there is none.</summary>
    Task<ReadOnlyMemory<byte>?> ReadFileAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken);

    /// <summary>Every file below the root, as paths relative to it, in byte order; at most <paramref name="maxEntries"/>.</summary>
    Task<IReadOnlyList<FileEntry>> ListAsync(WorkspaceRoot root, int maxEntries, CancellationToken cancellationToken);

    /// <summary>
    /// What is at a path, and of a folder all below it, each folder before what is in it; nothing where there is nothing.
    /// Links are not followed, in any component.
    /// </summary>
    IAsyncEnumerable<WorkspaceNode> WalkAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken);

    /// <summary>
    /// Stores the tree of what is at these paths, in the folders that lead there; a folder with all below it. A path where
    /// nothing is, or that leads over a link, adds nothing. Equal trees and paths answer equal roots.
    /// </summary>
    Task<PruneOutcome> PruneAsync(WorkspaceRoot root, IReadOnlyList<string> paths, CancellationToken cancellationToken);
}

public abstract record PruneOutcome
{
    /// <param name="Root"><c>null</c> where nothing is at any of the paths.</param>
    public sealed record Pruned(WorkspaceRoot? Root) : PruneOutcome;

    public sealed record Failed(Failure Failure) : PruneOutcome;
}

public enum WorkspaceNodeKind
{
    File = 1,
    Folder = 2,
    Link = 3,
}

/// <param name="Path">Relative to where the walk began, empty for that. Bytes that are no UTF-8 are written as <c>\xff</c>.</param>
/// <param name="Mode">Permission bits.</param>
/// <param name="Target">Of a link.</param>
public sealed record WorkspaceNode(string Path, WorkspaceNodeKind Kind, int Mode, long Size, string? Target)
{
    /// <summary>Reads a file's content in one piece.</summary>
    public required Func<CancellationToken, Task<ReadOnlyMemory<byte>?>> ReadAsync { get; init; }
}
