using System.Collections.Immutable;
using System.Security.Cryptography;
using Caisson.Core.Blobs;

namespace Caisson.Core.InMemory;

/// <summary>Blobs without a disk, with the same addresses as the file store's under the same key.</summary>
internal sealed class MemoryBlobs(ReadOnlyMemory<byte> tenantKey = default, IStoreFaults? faults = null) : IBlobStore
{
    private ImmutableDictionary<string, ReadOnlyMemory<byte>> _contents = ImmutableDictionary<string, ReadOnlyMemory<byte>>.Empty;

    internal int Count => _contents.Count;

    public string AddressOf(ReadOnlySpan<byte> content) => Convert.ToHexStringLower(HMACSHA256.HashData(tenantKey.Span, content));

    public async Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken)
    {
        if (faults is not null)
            await faults.BeforeAsync("put_blobs", null);
        var addresses = new List<string>(contents.Count);
        foreach (var content in contents)
        {
            var address = AddressOf(content.Span);
            ImmutableInterlocked.TryAdd(ref _contents, address, content.ToArray());
            addresses.Add(address);
        }

        if (faults is not null)
            await faults.AfterCommitAsync("put_blobs", null);
        return addresses;
    }

    public Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken) =>
        Task.FromResult(Content(address));

    /// <summary>What stands under an address now.</summary>
    internal ReadOnlyMemory<byte>? Content(string address) => _contents.TryGetValue(address, out var content) ? content : default(ReadOnlyMemory<byte>?);

    /// <summary>As a lost file, or one that retention took.</summary>
    internal bool Remove(string address) => ImmutableInterlocked.TryRemove(ref _contents, address, out _);
}
