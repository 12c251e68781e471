using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Retention;
using Caisson.Core.Stores;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>
/// One round of the sweep.
/// <para>
/// Problem: references are made while they are being read, so a mark can miss some. A blob therefore goes in two
/// phases, each with a mark of its own. The first sets it aside: a rename, after which reads and puts still find it and
/// bring it back. The second, at least a grace later, removes what is still unreferenced. Whoever put or read a blob
/// and refers to it within the grace is safe: at the first mark the blob is too young, or else it was set aside and
/// brought back, or else the reference was there before the second mark began. Dead processes change nothing in this:
/// all that a round remembers is where the files stand.
/// </para>
/// </summary>
internal sealed class BlobSweep(BlobShelves shelves, Func<string, CancellationToken, Task<ReadOnlyMemory<byte>?>> read, IWorkspaceTrees trees, DateTimeOffset began)
{
    private const int MostTold = 100;

    private readonly DateTimeOffset _before = began - BlobPromise.KeptUnreferenced;
    private readonly HashSet<BlobAddress> _marked = [];
    private readonly HashSet<BlobAddress> _walked = [];
    private readonly List<string> _unreadable = [];
    private readonly Stack<string> _toWalk = new();

    /// <remarks>
    /// 1. Mark: every reference, and below each tree every blob of it.
    /// 2. Trash: bring back what is marked, remove what was set aside long enough ago.
    /// 3. Shelves: set aside what is unmarked and old. After the trash, so that nothing passes both in one round.
    /// </remarks>
    internal async Task<SweepReport> RunAsync(IAsyncEnumerable<BlobReference> references, CancellationToken cancellationToken)
    {
        // 1.
        await foreach (var reference in references.WithCancellation(cancellationToken))
        {
            Mark(reference);
            while (_toWalk.TryPop(out var tree))
                await WalkAsync(tree, cancellationToken);
        }

        return await Task.Run(() =>
        {
            // 2.
            var (returned, removed, bytes) = EmptyTrash(cancellationToken);

            // 3.
            var setAside = _unreadable.Count > 0 ? 0 : SetAside(cancellationToken);
            return new SweepReport(_marked.Count, setAside, removed, bytes, returned, _unreadable);
        }, cancellationToken);
    }

    private void Mark(BlobReference reference)
    {
        if (BlobAddress.TryParse(reference.Address) is { } address)
        {
            _marked.Add(address);
            if (reference.IsTree && _walked.Add(address))
                _toWalk.Push(reference.Address);
        }
        else if (reference.IsTree)
        {
            Unreadable(reference.Address);
        }
    }

    private async Task WalkAsync(string address, CancellationToken cancellationToken)
    {
        try
        {
            if (await read(address, cancellationToken) is not { } content)
            {
                Unreadable(address);
                return;
            }

            foreach (var child in trees.Children(address, content))
                Mark(child);
        }
        catch (CaissonException)
        {
            Unreadable(address);
        }
    }

    private void Unreadable(string address)
    {
        if (_unreadable.Count < MostTold)
            _unreadable.Add(address);
    }

    private bool IsMarked(string address) => BlobAddress.TryParse(address) is { } parsed && _marked.Contains(parsed);

    private (long Returned, long Removed, long Bytes) EmptyTrash(CancellationToken cancellationToken)
    {
        var (returned, removed, bytes) = (0L, 0L, 0L);
        foreach (var address in shelves.Trash())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (IsMarked(address))
            {
                shelves.BringBack(address);
                returned++;
            }
            else if (_unreadable.Count == 0 && shelves.Remove(address, _before) is { } size)
            {
                removed++;
                bytes += size;
            }
        }

        return (returned, removed, bytes);
    }

    private long SetAside(CancellationToken cancellationToken)
    {
        var setAside = 0L;
        for (var prefix = 0; prefix < 256; prefix++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var address in shelves.Old((byte)prefix, _before))
            {
                if (!IsMarked(address) && shelves.SetAside(address, _before))
                    setAside++;
            }
        }

        return setAside;
    }
}
