namespace Caisson.Core.Blobs;

/// <summary>
/// Content-addressed bytes too large for the journal. An address is a keyed hash of the plaintext, taken by the store
/// itself from every byte it receives.
/// </summary>
public interface IBlobStore
{
    /// <summary>
    /// Stores all of them and answers their addresses in order, once every one is durable (file synced, renamed, folder
    /// synced). Contents already present cost no write. They stay for <see cref="BlobPromise.KeptUnreferenced"/> at
    /// least, and from then on as long as something refers to them.
    /// </summary>
    Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken);

    /// <summary>The address that <see cref="PutAsync"/> would answer, without storing.</summary>
    string AddressOf(ReadOnlySpan<byte> content);

    /// <summary>The content, checked against its address; <c>null</c> where there is none; a failure of kind <c>database_corrupt</c> where it does not match.</summary>
    Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken);
}
