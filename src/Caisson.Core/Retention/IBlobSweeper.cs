using Caisson.Core.Stores;

namespace Caisson.Core.Retention;

/// <summary>Removes blobs that nothing refers to. Puts and reads go on meanwhile.</summary>
public interface IBlobSweeper
{
    /// <summary>
    /// One round: reads every reference, then removes what earlier rounds set aside and is still referred to by nobody,
    /// then sets aside what nobody refers to now. A blob goes only if two rounds, at least
    /// <see cref="Blobs.BlobPromise.KeptUnreferenced"/> apart, found no reference and nobody put or read it in between.
    /// A reference that cannot be followed, because a tree is missing or damaged, keeps everything: the round removes
    /// nothing and says so.
    /// </summary>
    /// <param name="references">Every one that the store has; those made meanwhile may be missing.</param>
    Task<SweepReport> SweepAsync(IAsyncEnumerable<BlobReference> references, IWorkspaceTrees trees, CancellationToken cancellationToken);
}

/// <summary>Knows which blobs a saved workspace consists of.</summary>
public interface IWorkspaceTrees
{
    /// <summary>The blobs that a tree's blob names. Those that name further ones are trees too.</summary>
    /// <exception cref="Contracts.CaissonException">The content is no tree: <c>database_corrupt</c>.</exception>
    IEnumerable<BlobReference> Children(string address, ReadOnlyMemory<byte> content);
}

/// <param name="Referenced">Distinct blobs that something refers to.</param>
/// <param name="SetAside">Unreferenced blobs that the next rounds may remove.</param>
/// <param name="Removed">Blobs that are gone now.</param>
/// <param name="Returned">Blobs that had been set aside and are referred to after all.</param>
/// <param name="Unreadable">Trees that could not be followed; with any, nothing was set aside or removed.</param>
public sealed record SweepReport(long Referenced, long SetAside, long Removed, long RemovedBytes, long Returned, IReadOnlyList<string> Unreadable);
