using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>
/// The part of a saved workspace that some paths lead to, as a tree of its own. Only the folders on the way are new
/// blobs; whatever is at the end of a path is named by the new tree as it was by the old one.
/// </summary>
internal sealed class WorkspacePrune(IBlobStore blobs, CancellationToken cancellationToken)
{
    private readonly List<ReadOnlyMemory<byte>> _folders = [];

    /// <summary>The new root, stored; <c>null</c> where nothing is at any of the paths.</summary>
    public async Task<string?> RootAsync(string root, IEnumerable<string> paths)
    {
        var pruned = await FolderAsync(root, [.. paths.Select(path => path.Split('/'))], 0);
        if (pruned is not null)
            await blobs.PutAsync(_folders, cancellationToken);
        return pruned;
    }

    /// <param name="paths">Those that lead into this folder.</param>
    private async Task<string?> FolderAsync(string address, IReadOnlyList<string[]> paths, int depth)
    {
        var node = await blobs.GetAsync(address, cancellationToken)
            ?? throw new CaissonException(ErrorCodes.BlobMissing, $"blob {address}, a folder of the workspace, is gone");
        var kept = new List<TreeEntry>();
        foreach (var entry in TreeNode.Decode(node.Span))
        {
            var here = paths.Where(path => entry.Name.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(path[depth]))).ToList();
            if (here.Any(path => path.Length == depth + 1))
                kept.Add(entry);
            else if (here.Count > 0 && entry.Kind == TreeKind.Folder && await FolderAsync(entry.Address, here, depth + 1) is { } below)
                kept.Add(entry with { Data = Encoding.ASCII.GetBytes(below) });
        }

        if (kept.Count == 0)
            return null;
        var folder = TreeNode.Encode(kept);
        _folders.Add(folder);
        return blobs.AddressOf(folder);
    }
}
