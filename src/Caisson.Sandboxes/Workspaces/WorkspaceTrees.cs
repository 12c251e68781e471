using Caisson.Core.Retention;
using Caisson.Core.Stores;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>Which blobs a saved workspace consists of, for the sweep. A list of a large file's pieces counts as a tree: it names blobs.</summary>
public sealed class WorkspaceTrees : IWorkspaceTrees
{
    /// <inheritdoc/>
    public IEnumerable<BlobReference> Children(string address, ReadOnlyMemory<byte> content) =>
        TreeNode.IsTree(content.Span) ? OfFolder(content.Span) : OfPieces(content);

    private static List<BlobReference> OfFolder(ReadOnlySpan<byte> node)
    {
        var children = new List<BlobReference>();
        foreach (var entry in TreeNode.Decode(node))
        {
            if (entry.Kind == TreeKind.Folder || (entry.Kind == TreeKind.File && entry.Content == TreeContent.Pieces))
                children.Add(new BlobReference(entry.Address, IsTree: true));
            else if (entry.Kind == TreeKind.File && entry.Content == TreeContent.Blob)
                children.Add(new BlobReference(entry.Address, IsTree: false));
        }

        return children;
    }

    private static List<BlobReference> OfPieces(ReadOnlyMemory<byte> list) =>
        [.. PieceList.Decode(list).Where(p => p.Address is not null).Select(p => new BlobReference(p.Address!, IsTree: false))];
}
