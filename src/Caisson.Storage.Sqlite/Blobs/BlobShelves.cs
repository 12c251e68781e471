using System.Security.Cryptography;
using Caisson.Storage.Sqlite.Disk;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>
/// The blobs' files: which of two that want the same one goes first, and whose name is durable.
/// <para>
/// Problem: a blob is found stored, and removed as unreferenced before the finder has referred to it; or it is found
/// stored under a name that the next power cut takes away. A shelf is one folder of two hex digits, and everything that
/// looks at a name and then acts on it does so under the shelf's lock. The states of a blob are files: <c>tmp/…</c> (being
/// written) → <c>ab/cdef…</c> (stored) ⇄ <c>trash/abcdef…</c> (set aside, still readable) → gone. A file's time says when
/// it was last wanted: put, found again, brought back; or, in the trash, when it was set aside.
/// </para>
/// <para>
/// A name is durable once its folder was synced after it came. Each shelf counts the names it got and those that a sync
/// covered, and whoever answers for a name waits for a sync that covers it, no matter who wrote it. The count begins
/// behind: a process that was killed may have left names that it never synced.
/// </para>
/// <para>
/// When this process dies anywhere: a rename is whole, so a blob is in its shelf, or in the trash, where reads and puts
/// find it too; what is in <c>tmp</c> goes at the next start.
/// </para>
/// </summary>
internal sealed class BlobShelves
{
    private const int PrefixLength = 2;

    private readonly string _temporary;
    private readonly string _trash;
    private readonly TimeProvider _clock;
    private readonly Shelf _root;
    private readonly Shelf[] _shelves;

    internal BlobShelves(string directory, TimeProvider clock)
    {
        Root = Path.GetFullPath(directory);
        (_temporary, _trash, _clock) = (Path.Combine(Root, "tmp"), Path.Combine(Root, "trash"), clock);
        if (Directory.Exists(_temporary))
            Directory.Delete(_temporary, recursive: true);
        Directory.CreateDirectory(_temporary);
        _root = new Shelf(Root);
        _shelves = [.. Enumerable.Range(0, 256).Select(i => new Shelf(Path.Combine(Root, Convert.ToHexStringLower([(byte)i]))))];
    }

    internal string Root { get; }

    internal string PathOf(string address) => Path.Combine(Root, address[..PrefixLength], address[PrefixLength..]);

    internal string NewTemporary(string address) => Path.Combine(_temporary, $"{address}.{RandomNumberGenerator.GetHexString(16)}");

    /// <summary>Whether it is stored; from then on no sweep takes it for a while. Its name may not be durable yet, see <see cref="Sync"/>.</summary>
    internal bool Keep(string address)
    {
        var shelf = ShelfOf(address);
        lock (shelf.One)
        {
            var path = PathOf(address);
            if (!File.Exists(path) && !BringBack_NeedsLock(shelf, address))
                return false;
            File.SetLastWriteTimeUtc(path, Now);
            return true;
        }
    }

    /// <summary>Moves a whole, synced file to its name. Whoever stored the same content meanwhile wrote the same bytes.</summary>
    internal void Place(string temporary, string address)
    {
        var shelf = ShelfOf(address);
        lock (shelf.One)
        {
            EnsureFolder_NeedsLock(shelf);
            File.SetLastWriteTimeUtc(temporary, Now);
            File.Move(temporary, PathOf(address), overwrite: true);
            shelf.Changed++;
        }
    }

    /// <summary>Makes the names of these durable, whoever gave them. They stand on their shelves.</summary>
    internal void Sync(IEnumerable<string> addresses, ParallelOptions options) =>
        Parallel.ForEach(addresses.Select(ShelfOf).Append(_root).Distinct(), options, shelf => shelf.Sync());

    /// <summary>Whether there is nothing to sync for these.</summary>
    internal bool AreDurable(IEnumerable<string> addresses) => addresses.Select(ShelfOf).Append(_root).All(shelf => shelf.IsDurable);

    /// <summary>Whether the blob is on its shelf now, having been set aside or not.</summary>
    internal bool BringBack(string address)
    {
        var shelf = ShelfOf(address);
        lock (shelf.One)
        {
            // A put that began before the blob was set aside, and ended after it, has stored it once more.
            return BringBack_NeedsLock(shelf, address) || File.Exists(PathOf(address));
        }
    }

    /// <summary>Addresses on a shelf that nobody wanted since <paramref name="before"/>, as they are at this moment.</summary>
    internal IReadOnlyList<string> Old(byte prefix, DateTimeOffset before)
    {
        var shelf = _shelves[prefix];
        var folder = new DirectoryInfo(shelf.Folder);
        return folder.Exists
            ? [.. folder.EnumerateFiles().Where(f => f.LastWriteTimeUtc < before.UtcDateTime).Select(f => folder.Name + f.Name).Where(BlobAddress.IsOne)]
            : [];
    }

    /// <summary>Addresses in the trash.</summary>
    internal IReadOnlyList<string> Trash() =>
        Directory.Exists(_trash) ? [.. new DirectoryInfo(_trash).EnumerateFiles().Select(f => f.Name).Where(BlobAddress.IsOne)] : [];

    /// <summary>Puts it into the trash, unless somebody wanted it since <paramref name="before"/>.</summary>
    internal bool SetAside(string address, DateTimeOffset before)
    {
        var shelf = ShelfOf(address);
        lock (shelf.One)
        {
            var file = new FileInfo(PathOf(address));
            if (!file.Exists || file.LastWriteTimeUtc >= before.UtcDateTime)
                return false;
            Directory.CreateDirectory(_trash);

            // The time first: after a crash between the two it is merely a blob that was wanted lately, while the other
            // order would leave a tombstone that looks old and goes at once.
            File.SetLastWriteTimeUtc(file.FullName, Now);
            File.Move(file.FullName, TrashOf(address), overwrite: true);
            return true;
        }
    }

    /// <summary>Removes it for good if it was set aside before that. Answers its size, or <c>null</c> where it stays.</summary>
    internal long? Remove(string address, DateTimeOffset before)
    {
        var shelf = ShelfOf(address);
        lock (shelf.One)
        {
            var file = new FileInfo(TrashOf(address));
            if (!file.Exists || file.LastWriteTimeUtc >= before.UtcDateTime)
                return null;
            var size = file.Length;
            file.Delete();
            return size;
        }
    }

    private DateTime Now => _clock.GetUtcNow().UtcDateTime;

    private string TrashOf(string address) => Path.Combine(_trash, address);

    private Shelf ShelfOf(string address) => _shelves[Convert.FromHexString(address.AsSpan(0, PrefixLength))[0]];

    private bool BringBack_NeedsLock(Shelf shelf, string address)
    {
        var trash = TrashOf(address);
        if (!File.Exists(trash))
            return false;
        EnsureFolder_NeedsLock(shelf);
        File.SetLastWriteTimeUtc(trash, Now);
        File.Move(trash, PathOf(address), overwrite: true);
        shelf.Changed++;
        return true;
    }

    private void EnsureFolder_NeedsLock(Shelf shelf)
    {
        if (Directory.Exists(shelf.Folder))
            return;
        Directory.CreateDirectory(shelf.Folder);
        lock (_root.One)
            _root.Changed++;
    }

    private sealed class Shelf(string folder)
    {
        private long _synced;

        internal Lock One { get; } = new();

        internal string Folder => folder;

        /// <summary>Names that came, counted from one: what stood here before this process may never have been synced.</summary>
        internal long Changed { get; set; } = 1;

        internal bool IsDurable
        {
            get
            {
                lock (One)
                    return _synced >= Changed;
            }
        }

        internal void Sync()
        {
            long covered;
            lock (One)
            {
                if (_synced >= Changed)
                    return;
                covered = Changed;
            }

            Durable.Folder(folder);
            lock (One)
                _synced = Math.Max(_synced, covered);
        }
    }
}
