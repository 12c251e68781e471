namespace Caisson.Core.Blobs;

/// <summary>What a blob store keeps although nothing refers to it yet.</summary>
public static class BlobPromise
{
    /// <summary>
    /// A blob that was put or read is there for at least this long without a reference. Who wants to refer to it later
    /// than that puts it again, which costs no write.
    /// </summary>
    public static readonly TimeSpan KeptUnreferenced = TimeSpan.FromHours(1);
}
