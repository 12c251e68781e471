using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Caisson.Contracts;

namespace Caisson.Storage.Sqlite.Sealing;

/// <summary>A tenant's own key. Its id stands in all that it sealed.</summary>
internal sealed record DataKey(byte[] Id, byte[] Bytes);

/// <summary>
/// Seals content under its tenant's key, and opens what any key at hand has sealed. Content from before there was a
/// key is answered as it is. A key that is forgotten makes its content unreadable at once.
/// </summary>
public sealed class ContentSeal
{
    private readonly ConcurrentDictionary<string, DataKey> _byTenant = new();
    private readonly ConcurrentDictionary<ulong, DataKey> _byId = new();

    internal bool Has(string tenant) => _byTenant.ContainsKey(tenant);

    internal void Add(string tenant, DataKey key)
    {
        _byId[Number(key.Id)] = key;
        _byTenant[tenant] = key;
    }

    internal void Forget(string tenant)
    {
        if (_byTenant.TryRemove(tenant, out var key))
            _byId.TryRemove(Number(key.Id), out _);
    }

    /// <param name="place">Where it will stand, as <c>journal:RUN:SEQ:payload</c>: it opens nowhere else.</param>
    public byte[] Seal(string tenant, string place, ReadOnlySpan<byte> content) => _byTenant.TryGetValue(tenant, out var key)
        ? SealedBox.Seal(key.Bytes, key.Id, place, content)
        : throw new CaissonException(ErrorCodes.KeyMissing, $"the key of tenant {tenant} was destroyed or never made: nothing can be stored for it");

    /// <summary>The content of stored bytes, sealed or not, without a seal or with one.</summary>
    public static ReadOnlyMemory<byte> Open(ContentSeal? seal, string place, ReadOnlyMemory<byte> stored)
    {
        if (!SealedBox.IsSealed(stored.Span))
            return stored;
        if (SealedBox.KeyId(stored.Span) is not { } id)
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"{place}: the sealed content is cut short, or was sealed by a later version");
        if (seal is null || !seal._byId.TryGetValue(Number(id), out var key))
            throw new CaissonException(ErrorCodes.KeyMissing, $"{place}: the key that sealed this content is not here or was destroyed");
        return SealedBox.Open(key.Bytes, place, stored.Span)
            ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"{place}: the sealed content was changed or comes from another place: restore it from a backup");
    }

    private static ulong Number(byte[] id) => MemoryMarshal.Read<ulong>(id);
}
