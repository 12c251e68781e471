using System.Text;
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
/// <para>
/// Unchanged files are not read again: size, inode and both times of the last save or restore are remembered with the
/// content's address. A file that was changed within <see cref="Doubt"/> of the look is not remembered, since the
/// file system's clock ticks in milliseconds and a later change in the same tick would look the same.
/// </para>
/// </summary>
/// <param name="diskBytes">Size of the disk, which bounds what a save reads: scattered holes read as far more than they hold.</param>
internal sealed class Workspace(IBlobStore blobs, TimeProvider time, long diskBytes)
{
    public const int MaxEntries = 1_000_000, MaxDepth = 200, MaxFolderEntries = 200_000, InlineLimit = 1024;
    public const long MaxFileBytes = 16L << 40;
    private const long ReadAllowance = 1L << 30;
    private const int BatchBytes = 32 << 20, BatchCount = 512;
    private static readonly TimeSpan Doubt = TimeSpan.FromMilliseconds(40);

    private Dictionary<ulong, Known> _known = [];

    /// <summary>Blobs of the trees that this workspace came from or was saved as: stored, so not offered again.</summary>
    private HashSet<string> _stored = [];

    public async Task<WorkspaceSaveOutcome> SaveAsync(SafeFileHandle folder, CancellationToken cancellationToken)
    {
        var save = new Save(this, time.GetUtcNow(), cancellationToken);
        try
        {
            var root = await save.FolderAsync(folder, 0);
            await save.FlushAsync();
            _known = save.Known;
            _stored = save.Reached;
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
        var restore = new Restore(this, time.GetUtcNow(), cancellationToken);
        try
        {
            await restore.FolderAsync(folder, root?.Hash, 0);
            _known = restore.Known;
            _stored = restore.Reached;
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

    private static bool IsCertain(in Statx stat, DateTimeOffset look) =>
        Math.Max(stat.Changed, stat.Modified) < (look - Doubt - DateTimeOffset.UnixEpoch).Ticks * 100;

    private static SafeFileHandle OpenFolder(SafeFileHandle parent, ReadOnlySpan<byte> name) =>
        Libc.Open(Libc.Number(parent), name, Libc.ReadOnly | Libc.Directory | Libc.NoFollow);

    private static string Show(ReadOnlySpan<byte> name) => Encoding.UTF8.GetString(name);

    private sealed record Known(ulong Size, long Modified, long Changed, TreeContent Content, byte[] Data)
    {
        public bool Fits(in Statx stat) => Size == stat.Size && Modified == stat.Modified && Changed == stat.Changed;
    }

    private sealed class Save(Workspace workspace, DateTimeOffset look, CancellationToken cancellationToken)
    {
        private readonly List<ReadOnlyMemory<byte>> _batch = [];
        private int _batchBytes;
        private int _entries;
        private long _mayRead = 2 * workspace.DiskBytes + ReadAllowance;

        public Dictionary<ulong, Known> Known { get; } = [];

        public HashSet<string> Reached { get; } = [];

        public async Task<string> FolderAsync(SafeFileHandle folder, int depth)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (depth > MaxDepth)
                throw new WorkspaceLimitException($"the workspace is more than {MaxDepth} folders deep");
            // The handle's place in the folder is shared with earlier scans, hence a new one.
            List<byte[]> names;
            using (var own = Libc.Open(Libc.Number(folder), "."u8, Libc.ReadOnly | Libc.Directory))
                names = Libc.Names(own, MaxFolderEntries);
            if (names.Count > MaxFolderEntries)
                throw new WorkspaceLimitException($"a folder of the workspace has more than {MaxFolderEntries} entries");
            if ((_entries += names.Count) > MaxEntries)
                throw new WorkspaceLimitException($"the workspace has more than {MaxEntries} files");

            var entries = new List<TreeEntry>(names.Count);
            foreach (var name in names)
            {
                if (Libc.Stat(folder, name) is not { } stat)
                    continue;
                switch (stat.Kind)
                {
                    case Statx.Folder:
                        using (var child = OpenFolder(folder, name))
                            entries.Add(new TreeEntry(name, TreeKind.Folder, stat.Permissions, 0, TreeContent.Blob, Ascii(await FolderAsync(child, depth + 1))));
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
                await workspace.Blobs.PutAsync(_batch, cancellationToken);
            _batch.Clear();
            _batchBytes = 0;
        }

        private async Task<(TreeContent Content, byte[] Data)> FileAsync(SafeFileHandle folder, byte[] name, Statx stat)
        {
            if (workspace._known.TryGetValue(stat.Inode, out var known) && known.Fits(stat))
            {
                Remember(stat, known.Content, known.Data);
                return (known.Content, known.Data);
            }

            if (stat.Size > MaxFileBytes)
                throw new WorkspaceLimitException($"'{Show(name)}' is larger than a saved file may be");
            using var file = Libc.Open(Libc.Number(folder), name, Libc.ReadOnly | Libc.NoFollow | Libc.NonBlocking);
            var (content, data) = stat.Size switch
            {
                <= InlineLimit => (TreeContent.Inline, Read(file, 0, (int)stat.Size)),
                <= PieceList.PieceSize => (TreeContent.Blob, Ascii(await StoreAsync(Read(file, 0, (int)stat.Size)))),
                _ => (TreeContent.Pieces, Ascii(await StoreAsync(await PiecesAsync(file, (long)stat.Size)))),
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
            var address = workspace.Blobs.AddressOf(content);
            if (!Reached.Add(address) || workspace._stored.Contains(address))
                return address;
            _batch.Add(content);
            _batchBytes += content.Length;
            if (_batchBytes >= BatchBytes || _batch.Count >= BatchCount)
                await FlushAsync();
            return address;
        }

        private void Remember(in Statx stat, TreeContent content, byte[] data)
        {
            if (IsCertain(stat, look))
                Known[stat.Inode] = new Known(stat.Size, stat.Modified, stat.Changed, content, data);
            // What it refers to stays stored with it, although this save does not look at it.
            if (content != TreeContent.Inline)
                Reached.Add(Encoding.ASCII.GetString(data));
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

    private IBlobStore Blobs => blobs;

    private long DiskBytes => diskBytes;

    private static byte[] Ascii(string address) => Encoding.ASCII.GetBytes(address);

    private sealed class Restore(Workspace workspace, DateTimeOffset look, CancellationToken cancellationToken)
    {
        public Dictionary<ulong, Known> Known { get; } = [];

        public HashSet<string> Reached { get; } = [];

        /// <param name="address">Of the folder's node; <c>null</c> empties the folder.</param>
        public async Task FolderAsync(SafeFileHandle folder, string? address, int depth)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var wanted = new Dictionary<byte[], TreeEntry>(NameEquality.Instance);
            if (address is not null)
                foreach (var entry in TreeNode.Decode((await GetAsync(address)).Span))
                    wanted.Add(entry.Name, entry);
            if (address is not null)
                Reached.Add(address);

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
            if (depth > MaxDepth)
                throw new CaissonException(ErrorCodes.DatabaseCorrupt, "a saved workspace is deeper than one can be");
            using var child = OpenFolder(parent, entry.Name);
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
            _ => stat.Kind == Statx.RegularFile && workspace._known.TryGetValue(stat.Inode, out var known) && known.Fits(stat) &&
                 known.Content == entry.Content && known.Data.AsSpan().SequenceEqual(entry.Data),
        };

        private void Remember(SafeFileHandle folder, TreeEntry entry)
        {
            if (entry.Content != TreeContent.Inline)
                Reached.Add(entry.Address);
            // A file that was written just now is in doubt: the box may write it again in the same tick of the clock.
            if (Libc.Stat(folder, entry.Name) is { } stat && IsCertain(stat, look))
                Known[stat.Inode] = new Known(stat.Size, stat.Modified, stat.Changed, entry.Content, entry.Data);
        }

        private static void Remove(SafeFileHandle folder, byte[] name, in Statx stat, int depth = 0)
        {
            // What a box may have dug this deep is not worth a way round the stack: the caller takes a fresh box.
            if (depth > 4 * MaxDepth)
                throw new NativeException("remove", Libc.Enametoolong);
            if (stat.Kind == Statx.Folder)
            {
                using var child = OpenFolder(folder, name);
                foreach (var inner in Libc.Names(child, int.MaxValue))
                    if (Libc.Stat(child, inner) is { } innerStat)
                        Remove(child, inner, innerStat, depth + 1);
            }

            Libc.Unlink(folder, name, stat.Kind == Statx.Folder);
        }

        private async Task<ReadOnlyMemory<byte>> GetAsync(string address) =>
            await workspace.Blobs.GetAsync(address, cancellationToken) ??
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} of a saved workspace is missing");
    }

    private sealed class NameEquality : IEqualityComparer<byte[]>
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
}

/// <summary>The workspace is larger in some way than may be saved.</summary>
internal sealed class WorkspaceLimitException(string message) : Exception(message);
