using System.Buffers;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Unicode;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>Reads saved workspaces from their blobs alone.</summary>
public sealed class WorkspaceStore(IBlobStore blobs) : IWorkspaceStore
{
    /// <summary>A file is answered in one piece; a larger one is refused.</summary>
    private const long LargestRead = 256L << 20;

    private const ushort DefaultFolderMode = 0x1ed; // 0755

    /// <inheritdoc/>
    public async Task<ReadOnlyMemory<byte>?> ReadFileAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken) =>
        await FindAsync(root, path, cancellationToken) is { Kind: TreeKind.File } file ? await ContentAsync(file, cancellationToken) : null;

    /// <inheritdoc/>
    public async IAsyncEnumerable<WorkspaceNode> WalkAsync(WorkspaceRoot root, string path, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (await FindAsync(root, path, cancellationToken) is not { } found)
            yield break;
        yield return Node(found, "");
        var open = new Stack<(string Prefix, TreeEntry Entry)>();
        open.Push(("", found));
        while (open.TryPop(out var next))
        {
            if (next.Entry.Kind != TreeKind.Folder || await blobs.GetAsync(next.Entry.Address, cancellationToken) is not { } node)
                continue;
            foreach (var entry in TreeNode.Decode(node.Span))
            {
                var name = next.Prefix + NameText(entry.Name);
                yield return Node(entry, name);
                if (entry.Kind == TreeKind.Folder)
                    open.Push((name + "/", entry));
            }
        }
    }

    /// <inheritdoc/>
    public async Task<PruneOutcome> PruneAsync(WorkspaceRoot root, IReadOnlyList<string> paths, CancellationToken cancellationToken)
    {
        try
        {
            return new PruneOutcome.Pruned(await new WorkspacePrune(blobs, cancellationToken).RootAsync(root.Hash, paths) is { } pruned ? new WorkspaceRoot(pruned) : null);
        }
        catch (CaissonException e)
        {
            return new PruneOutcome.Failed(e.ToFailure());
        }
    }

    private WorkspaceNode Node(TreeEntry entry, string path) => new(
        path, (WorkspaceNodeKind)entry.Kind, entry.Mode, entry.Size, entry.Kind == TreeKind.Link ? NameText(entry.Data) : null)
    {
        ReadAsync = cancellation => ContentAsync(entry, cancellation),
    };

    /// <summary>Names are bytes, and texts are not: what is no UTF-8 is written out.</summary>
    private static string NameText(byte[] name)
    {
        if (Utf8.IsValid(name))
            return Encoding.UTF8.GetString(name);
        var text = new StringBuilder();
        for (ReadOnlySpan<byte> rest = name; rest.Length > 0;)
        {
            var status = Rune.DecodeFromUtf8(rest, out var rune, out var length);
            if (status == OperationStatus.Done)
                text.Append(rune.ToString());
            else
                foreach (var b in rest[..length])
                    text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
            rest = rest[length..];
        }

        return text.ToString();
    }

    /// <summary>The entry at a path; of the whole workspace, one that stands for its root.</summary>
    private async Task<TreeEntry?> FindAsync(WorkspaceRoot root, string path, CancellationToken cancellationToken)
    {
        var entry = new TreeEntry([], TreeKind.Folder, DefaultFolderMode, 0, TreeContent.Blob, Encoding.ASCII.GetBytes(root.Hash));
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            if (entry.Kind != TreeKind.Folder || await blobs.GetAsync(entry.Address, cancellationToken) is not { } node)
                return null;
            var name = Encoding.UTF8.GetBytes(part);
            if (TreeNode.Decode(node.Span).FirstOrDefault(e => e.Name.AsSpan().SequenceEqual(name)) is not { } child)
                return null;
            entry = child;
        }

        return entry;
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
