using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Retention;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Disk;
using Caisson.Storage.Sqlite.Sealing;

namespace Caisson.Storage.Sqlite.Blobs;

/// <summary>
/// Blobs as files, <c>ab/cdef…</c>, named by HMAC-SHA256 of their plaintext under the tenant's key: who does not hold
/// the key cannot learn from a name whether somebody stored a known content.
/// <para>
/// Order of a put, which makes it durable and whole at any crash: write a temporary file, sync it, rename it, sync the
/// folder, answer. A file under its final name is therefore complete. What a crash leaves under temporary names is
/// removed at the next start. How puts, reads and the sweep meet is told in <see cref="BlobShelves"/>.
/// </para>
/// </summary>
public sealed class FileBlobStore : IBlobStore, IBlobSweeper
{
    private const int SyncAtOnce = 8;

    private readonly BlobShelves _shelves;
    private readonly byte[] _key;
    private readonly TimeProvider _clock;
    private readonly ContentSeal? _seal;
    private readonly TaskCompletionSource _faulted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="directory">Its own folder, on a local file system.</param>
    /// <param name="tenantKey">At least 32 bytes, secret and never changed.</param>
    /// <param name="clock">The sweep's time. Default: the system's.</param>
    /// <param name="seal">What files are sealed with, after compression. Default: they are not.</param>
    public FileBlobStore(string directory, ReadOnlySpan<byte> tenantKey, TimeProvider? clock = null, ContentSeal? seal = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tenantKey.Length, 32);
        _key = tenantKey.ToArray();
        (_clock, _seal) = (clock ?? TimeProvider.System, seal);
        _shelves = new BlobShelves(directory, _clock);
    }

    /// <summary>Fails when a sync did; after that nothing is stored any more, and the process must exit and be started again.</summary>
    public Task Faulted => _faulted.Task;

    /// <inheritdoc/>
    public string AddressOf(ReadOnlySpan<byte> content)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(_key, content, hash);
        return Convert.ToHexStringLower(hash);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken)
    {
        if (_faulted.Task.Exception?.InnerException is { } fault)
            throw fault;
        var addresses = contents.Select(c => AddressOf(c.Span)).ToList();
        try
        {
            var missing = addresses.Zip(contents).DistinctBy(p => p.First).Where(p => !_shelves.Keep(p.First)).ToList();
            if (missing.Count > 0 || !_shelves.AreDurable(addresses))
                await Task.Run(() => Write(addresses, missing, cancellationToken), cancellationToken);
            return addresses;
        }
        catch (Exception e) when (Cause(e) is { } cause)
        {
            throw Translate(cause, e);
        }
    }

    /// <inheritdoc/>
    public async Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken)
    {
        if (!BlobAddress.IsOne(address) || await ReadAsync(address, cancellationToken) is not { } stored)
            return null;
        var content = BlobPacking.Unpack(ContentSeal.Open(_seal, PlaceOf(address), stored).Span);
        return content is not null && AddressOf(content) == address
            ? content
            : throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} does not hold what was stored; restore {_shelves.PathOf(address)} from a backup");
    }

    /// <inheritdoc/>
    public Task<SweepReport> SweepAsync(IAsyncEnumerable<BlobReference> references, IWorkspaceTrees trees, CancellationToken cancellationToken) =>
        new BlobSweep(_shelves, GetAsync, trees, _clock.GetUtcNow()).RunAsync(references, cancellationToken);

    private static string PlaceOf(string address) => $"blob:{address}";

    private async Task<byte[]?> ReadAsync(string address, CancellationToken cancellationToken)
    {
        try
        {
            // The second time it was brought back from the trash, where no sweep puts it again so soon.
            return await TryReadAsync(address, cancellationToken)
                ?? (_shelves.BringBack(address) ? await TryReadAsync(address, cancellationToken) : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Of one blob, so of one run: the run that needs it is paused, the server goes on.
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {address} cannot be read: {e.Message}: mend {_shelves.PathOf(address)}", inner: e);
        }
    }

    private async Task<byte[]?> TryReadAsync(string address, CancellationToken cancellationToken)
    {
        try
        {
            return await File.ReadAllBytesAsync(_shelves.PathOf(address), cancellationToken);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    /// <summary>What the disk said, also where parallel writers wrapped it.</summary>
    private static Exception? Cause(Exception e) => e switch
    {
        IOException or UnauthorizedAccessException => e,
        AggregateException { InnerExceptions: var all } => all.Select(Cause).OrderByDescending(c => c is SyncFailedException).FirstOrDefault(c => c is not null),
        _ => null,
    };

    private CaissonException Translate(Exception cause, Exception thrown)
    {
        if (cause is SyncFailedException)
        {
            var fault = new CaissonException(ErrorCodes.StorageFailed, $"a sync of the blobs failed: {cause.Message}: check the disk, then start the server again", isTransient: true, thrown);
            _faulted.TrySetException(fault);
            return fault;
        }

        return new CaissonException(Durable.IsFull(cause) ? ErrorCodes.DiskFull : ErrorCodes.StorageFailed,
            $"blobs were not stored in {_shelves.Root}: {cause.Message}", isTransient: true, thrown);
    }

    private void Write(List<string> addresses, List<(string Address, ReadOnlyMemory<byte> Content)> missing, CancellationToken cancellationToken)
    {
        // Several syncs at once share the disk's own commit, so many small blobs do not wait for each other in a row.
        var options = new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = SyncAtOnce };
        var temporary = new string[missing.Count];
        try
        {
            Parallel.For(0, missing.Count, options, i =>
            {
                temporary[i] = _shelves.NewTemporary(missing[i].Address);
                using var file = File.OpenHandle(temporary[i], FileMode.CreateNew, FileAccess.Write);
                var packed = BlobPacking.Pack(missing[i].Content.Span);
                RandomAccess.Write(file, _seal is null ? packed : _seal.Seal(BudgetNodes.DefaultTenant, PlaceOf(missing[i].Address), packed), 0);
                Durable.File(file, temporary[i]);
            });
            for (var i = 0; i < missing.Count; i++)
                _shelves.Place(temporary[i], missing[i].Address);
            _shelves.Sync(addresses, options);
        }
        finally
        {
            foreach (var left in temporary)
            {
                // What was moved to its place is not here any more, and deleting nothing is no error.
                if (left is not null)
                    File.Delete(left);
            }
        }
    }
}
