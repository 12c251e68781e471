using System.Text;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Sandboxes.Native;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>
/// Brings a workspace to a saved tree by its difference: what is there and wanted stays, also in the box's caches. In
/// each folder removals come first, since they make room.
/// </summary>
internal sealed class WorkspaceRestore(WorkspaceMemory memory, IBlobStore blobs, DateTimeOffset look, CancellationToken cancellationToken)
{
    /// <summary>What the next look may rely on.</summary>
    public WorkspaceMemory Memory { get; } = new();

    /// <param name="address">Of the folder's node; <c>null</c> empties the folder.</param>
    public async Task FolderAsync(SafeFileHandle folder, string? address, int depth)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var wanted = new Dictionary<byte[], TreeEntry>(NameEquality.Instance);
        if (address is not null)
            foreach (var entry in TreeNode.Decode((await GetAsync(address)).Span))
                wanted.Add(entry.Name, entry);
        if (address is not null)
            Memory.Blobs.Add(address);

        List<byte[]> names;
        using (var own = Libc.Open(Libc.Number(folder), "."u8, Libc.ReadOnly | Libc.Directory))
            names = Libc.Names(own, int.MaxValue);
        foreach (var name in names)
        {
            if (Libc.Stat(folder, name) is not { } stat)
                continue;
            if (!wanted.TryGetValue(name, out var entry) || !IsSame(folder, stat, entry))
            {
                Remove(folder, name, stat);
                continue;
            }

            wanted.Remove(name);
            if (entry.Kind == TreeKind.Folder)
            {
                await KeepFolderAsync(folder, entry, depth);
            }
            else if (entry.Kind == TreeKind.File)
            {
                if (stat.Permissions != entry.Mode)
                {
                    using var file = Libc.Open(Libc.Number(folder), name, Libc.ReadOnly | Libc.NoFollow | Libc.NonBlocking);
                    Libc.ChangeMode(file, entry.Mode);
                }

                Remember(folder, entry);
            }
        }

        // After the removals, which make room.
        foreach (var entry in wanted.Values)
            await MakeAsync(folder, entry, depth);
    }

    private async Task MakeAsync(SafeFileHandle folder, TreeEntry entry, int depth)
    {
        switch (entry.Kind)
        {
            case TreeKind.Folder:
                Libc.MakeDirectory(folder, entry.Name);
                Libc.ChangeOwner(folder, entry.Name, Protocol.GuestLink.WorkUser);
                await KeepFolderAsync(folder, entry, depth);
                break;
            case TreeKind.Link:
                Libc.Link(entry.Data, folder, entry.Name);
                Libc.ChangeOwner(folder, entry.Name, Protocol.GuestLink.WorkUser);
                break;
            case TreeKind.File:
                using (var file = Libc.Open(Libc.Number(folder), entry.Name, Libc.WriteOnly | Libc.Create | Libc.Exclusive | Libc.NoFollow, 0x180))
                {
                    await FillAsync(file, entry);
                    Libc.ChangeOwner(folder, entry.Name, Protocol.GuestLink.WorkUser);
                    // After the change of owner, which clears the set-id bits.
                    Libc.ChangeMode(file, entry.Mode);
                }

                Remember(folder, entry);
                break;
        }
    }

    private async Task KeepFolderAsync(SafeFileHandle parent, TreeEntry entry, int depth)
    {
        if (depth > Workspace.MaxDepth)
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, "a saved workspace is deeper than one can be");
        using var child = Libc.OpenFolder(parent, entry.Name);
        await FolderAsync(child, entry.Address, depth + 1);
        Libc.ChangeMode(child, entry.Mode);
    }

    private async Task FillAsync(SafeFileHandle file, TreeEntry entry)
    {
        switch (entry.Content)
        {
            case TreeContent.Inline:
                Put(file, entry.Data, 0);
                break;
            case TreeContent.Blob:
                Put(file, await GetAsync(entry.Address), 0);
                break;
            case TreeContent.Pieces:
                var at = 0L;
                foreach (var (count, address) in PieceList.Decode(await GetAsync(entry.Address)))
                {
                    if (address is not null)
                        Put(file, await GetAsync(address), at);
                    at += count * PieceList.PieceSize;
                }

                RandomAccess.SetLength(file, entry.Size);
                break;
        }
    }

    // Into the page cache of a disk in memory and file: an asynchronous write would only add a switch of threads.
    private static void Put(SafeFileHandle file, ReadOnlyMemory<byte> bytes, long at) => RandomAccess.Write(file, bytes.Span, at);

    /// <summary>Whether what is there can stay, but for its mode and, of a folder, what is in it.</summary>
    private bool IsSame(SafeFileHandle folder, in Statx stat, TreeEntry entry) => entry.Kind switch
    {
        TreeKind.Folder => stat.Kind == Statx.Folder,
        TreeKind.Link => stat.Kind == Statx.SymbolicLink && Libc.ReadLink(folder, entry.Name).AsSpan().SequenceEqual(entry.Data),
        _ => stat.Kind == Statx.RegularFile && memory.Files.TryGetValue(stat.Inode, out var known) && known.Fits(stat) &&
             known.Content == entry.Content && known.Data.AsSpan().SequenceEqual(entry.Data),
    };

    private void Remember(SafeFileHandle folder, TreeEntry entry)
    {
        if (entry.Content != TreeContent.Inline)
            Memory.Blobs.Add(entry.Address);
        // A file that was written just now is in doubt: the box may write it again in the same tick of the clock.
        if (Libc.Stat(folder, entry.Name) is { } stat && WorkspaceMemory.IsCertain(stat, look))
            Memory.Files[stat.Inode] = new KnownFile(stat.Size, stat.Modified, stat.Changed, entry.Content, entry.Data);
    }

    private static void Remove(SafeFileHandle folder, byte[] name, in Statx stat, int depth = 0)
    {
        // What a box may have dug this deep is not worth a way round the stack: the caller takes a fresh box.
        if (depth > 4 * Workspace.MaxDepth)
            throw new NativeException("remove", Libc.Enametoolong);
        if (stat.Kind == Statx.Folder)
        {
            using var child = Libc.OpenFolder(folder, name);
            foreach (var inner in Libc.Names(child, int.MaxValue))
                if (Libc.Stat(child, inner) is { } innerStat)
                    Remove(child, inner, innerStat, depth + 1);
        }

        Libc.Unlink(folder, name, stat.Kind == Statx.Folder);
    }

    private async Task<ReadOnlyMemory<byte>> GetAsync(string address) =>
        await blobs.GetAsync(address, cancellationToken) ??
        throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} of a saved workspace is missing");
}

internal sealed class NameEquality : IEqualityComparer<byte[]>
{
    public static readonly NameEquality Instance = new();

    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(byte[] name)
    {
        var hash = new HashCode();
        hash.AddBytes(name);
        return hash.ToHashCode();
    }
}
