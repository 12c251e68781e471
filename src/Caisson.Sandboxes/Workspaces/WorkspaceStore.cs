using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>Reads saved workspaces from their blobs alone.</summary>
public sealed class WorkspaceStore(IBlobStore blobs) : IWorkspaceStore
{
    /// <summary>A file is answered in one piece; a larger one is refused.</summary>
    private const long LargestRead = 256L << 20;

    /// <inheritdoc/>
    public async Task<ReadOnlyMemory<byte>?> ReadFileAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken)
    {
        var address = root.Hash;
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        for (var i = 0; i < parts.Length; i++)
        {
            if (await blobs.GetAsync(address, cancellationToken) is not { } node)
                return null;
            var name = Encoding.UTF8.GetBytes(parts[i]);
            var entry = TreeNode.Decode(node.Span).FirstOrDefault(e => e.Name.AsSpan().SequenceEqual(name));
            var last = i == parts.Length - 1;
            if (entry?.Kind == TreeKind.File && last)
                return await ContentAsync(entry, cancellationToken);
            if (entry?.Kind != TreeKind.Folder || last)
                return null;
            address = entry.Address;
        }

        return null;
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<FileEntry>> ListAsync(WorkspaceRoot root, int maxEntries, CancellationToken cancellationToken)
    {
        var found = new List<FileEntry>();
        await ListFolderAsync(root.Hash, "", found, maxEntries, cancellationToken);
        return found;
    }

    private async Task ListFolderAsync(string address, string prefix, List<FileEntry> found, int maxEntries, CancellationToken cancellationToken)
    {
        if (found.Count >= maxEntries || await blobs.GetAsync(address, cancellationToken) is not { } node)
            return;
        // In the byte order of whole paths a folder's files sort as if its name ended with a slash.
        foreach (var entry in TreeNode.Decode(node.Span).OrderBy(SortName, NameOrder.Instance))
        {
            if (found.Count >= maxEntries)
                return;
            var path = prefix + Encoding.UTF8.GetString(entry.Name);
            if (entry.Kind == TreeKind.Folder)
                await ListFolderAsync(entry.Address, path + "/", found, maxEntries, cancellationToken);
            else
                found.Add(new FileEntry(path, entry.Kind == TreeKind.Link ? "link" : "file", entry.Size));
        }
    }

    private static byte[] SortName(TreeEntry entry) => entry.Kind == TreeKind.Folder ? [.. entry.Name, (byte)'/'] : entry.Name;

    private async Task<ReadOnlyMemory<byte>?> ContentAsync(TreeEntry entry, CancellationToken cancellationToken)
    {
        if (entry.Content == TreeContent.Inline)
            return entry.Data;
        if (entry.Content == TreeContent.Blob)
            return await blobs.GetAsync(entry.Address, cancellationToken);
        if (entry.Size > LargestRead)
            throw new CaissonException(ErrorCodes.PayloadTooLarge, $"the file has {entry.Size} bytes; at most {LargestRead} are answered in one piece");
        var content = new byte[entry.Size];
        var at = 0L;
        foreach (var (count, address) in PieceList.Decode(await blobs.GetAsync(entry.Address, cancellationToken) ?? default))
        {
            if (address is not null && await blobs.GetAsync(address, cancellationToken) is { } piece && at + piece.Length <= content.Length)
                piece.CopyTo(content.AsMemory((int)at));
            at += count * PieceList.PieceSize;
        }

        return content;
    }
}
