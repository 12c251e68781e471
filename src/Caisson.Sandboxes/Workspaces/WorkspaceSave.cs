using System.Text;
using Caisson.Core.Blobs;
using Caisson.Sandboxes.Native;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>
/// One scan of a workspace into blobs, children before parents, so that a folder's blob is complete when it is named.
/// Blobs that the memory knows as stored are not offered again.
/// </summary>
internal sealed class WorkspaceSave(WorkspaceMemory memory, IBlobStore blobs, long diskBytes, DateTimeOffset look, CancellationToken cancellationToken)
{
    private const long ReadAllowance = 1L << 30;
    private const int BatchBytes = 32 << 20, BatchCount = 512;

    private readonly List<ReadOnlyMemory<byte>> _batch = [];
    private int _batchBytes;
    private int _entries;
    private long _mayRead = 2 * diskBytes + ReadAllowance;

    /// <summary>What the next look may rely on.</summary>
    public WorkspaceMemory Memory { get; } = new();

    public async Task<string> FolderAsync(SafeFileHandle folder, int depth)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (depth > Workspace.MaxDepth)
            throw new WorkspaceLimitException($"the workspace is more than {Workspace.MaxDepth} folders deep");
        // The handle's place in the folder is shared with earlier scans, hence a new one.
        List<byte[]> names;
        using (var own = Libc.Open(Libc.Number(folder), "."u8, Libc.ReadOnly | Libc.Directory))
            names = Libc.Names(own, Workspace.MaxFolderEntries);
        if (names.Count > Workspace.MaxFolderEntries)
            throw new WorkspaceLimitException($"a folder of the workspace has more than {Workspace.MaxFolderEntries} entries");
        if ((_entries += names.Count) > Workspace.MaxEntries)
            throw new WorkspaceLimitException($"the workspace has more than {Workspace.MaxEntries} files");

        var entries = new List<TreeEntry>(names.Count);
        foreach (var name in names)
        {
            if (Libc.Stat(folder, name) is not { } stat)
                continue;
            switch (stat.Kind)
            {
                case Statx.Folder:
                    using (var child = Libc.OpenFolder(folder, name))
                        entries.Add(new TreeEntry(name, TreeKind.Folder, stat.Permissions, 0, TreeContent.Blob, Encoding.ASCII.GetBytes(await FolderAsync(child, depth + 1))));
                    break;
                case Statx.SymbolicLink:
                    entries.Add(new TreeEntry(name, TreeKind.Link, 0, 0, TreeContent.Inline, Libc.ReadLink(folder, name)));
                    break;
                case Statx.RegularFile:
                    var (content, data) = await FileAsync(folder, name, stat);
                    entries.Add(new TreeEntry(name, TreeKind.File, stat.Permissions, (long)stat.Size, content, data));
                    break;
                    // Sockets, pipes and devices have no content: they belong to processes that a restored box does not have.
            }
        }

        return await StoreAsync(TreeNode.Encode(entries));
    }

    public async Task FlushAsync()
    {
        if (_batch.Count > 0)
            await blobs.PutAsync(_batch, cancellationToken);
        _batch.Clear();
        _batchBytes = 0;
    }

    private async Task<(TreeContent Content, byte[] Data)> FileAsync(SafeFileHandle folder, byte[] name, Statx stat)
    {
        if (memory.Files.TryGetValue(stat.Inode, out var known) && known.Fits(stat))
        {
            Remember(stat, known.Content, known.Data);
            return (known.Content, known.Data);
        }

        if (stat.Size > Workspace.MaxFileBytes)
            throw new WorkspaceLimitException($"'{Encoding.UTF8.GetString(name)}' is larger than a saved file may be");
        using var file = Libc.Open(Libc.Number(folder), name, Libc.ReadOnly | Libc.NoFollow | Libc.NonBlocking);
        var (content, data) = stat.Size switch
        {
            <= Workspace.InlineLimit => (TreeContent.Inline, Read(file, 0, (int)stat.Size)),
            <= PieceList.PieceSize => (TreeContent.Blob, Encoding.ASCII.GetBytes(await StoreAsync(Read(file, 0, (int)stat.Size)))),
            _ => (TreeContent.Pieces, Encoding.ASCII.GetBytes(await StoreAsync(await PiecesAsync(file, (long)stat.Size)))),
        };
        Remember(stat, content, data);
        return (content, data);
    }

    private async Task<byte[]> PiecesAsync(SafeFileHandle file, long size)
    {
        var runs = new List<(long, string?)>();
        for (var at = 0L; at < size;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var data = Libc.NextData(file, at);
            var holes = (data is { } d ? Math.Min(d, size) - at : size - at + PieceList.PieceSize - 1) / PieceList.PieceSize;
            if (holes > 0)
            {
                runs.Add((holes, null));
                at += holes * PieceList.PieceSize;
                continue;
            }

            runs.Add((1, await StoreAsync(Read(file, at, (int)Math.Min(PieceList.PieceSize, size - at)))));
            at += PieceList.PieceSize;
        }

        return PieceList.Encode(runs);
    }

    private async Task<string> StoreAsync(byte[] content)
    {
        var address = blobs.AddressOf(content);
        if (!Memory.Blobs.Add(address) || memory.Blobs.Contains(address))
            return address;
        _batch.Add(content);
        _batchBytes += content.Length;
        if (_batchBytes >= BatchBytes || _batch.Count >= BatchCount)
            await FlushAsync();
        return address;
    }

    private void Remember(in Statx stat, TreeContent content, byte[] data)
    {
        if (WorkspaceMemory.IsCertain(stat, look))
            Memory.Files[stat.Inode] = new KnownFile(stat.Size, stat.Modified, stat.Changed, content, data);
        // What it refers to stays stored with it, although this save does not look at it.
        if (content != TreeContent.Inline)
            Memory.Blobs.Add(Encoding.ASCII.GetString(data));
    }

    private byte[] Read(SafeFileHandle file, long offset, int length)
    {
        if ((_mayRead -= length) < 0)
            throw new WorkspaceLimitException("the workspace's files have more scattered holes than can be saved");
        var bytes = new byte[length];
        for (var at = 0; at < length;)
        {
            var n = RandomAccess.Read(file, bytes.AsSpan(at), offset + at);
            if (n == 0)
                throw new NativeException("read", Libc.Einval);
            at += n;
        }

        return bytes;
    }
}
