using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Budgets;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Sqlite.Sealing;

public abstract record ShredOutcome
{
    public sealed record Shredded : ShredOutcome;

    /// <summary>Nothing is sealed here, or the tenant has no key (any more).</summary>
    public sealed record NoKey : ShredOutcome;

    /// <summary>Nothing was done: runs that have not ended, or schedules, still need the key.</summary>
    public sealed record InUse(long Count) : ShredOutcome;
}

/// <summary>
/// The keys that a data directory holds, in its <c>meta</c> rows: <c>tenant_key</c>, which names blobs; <c>seal</c>, the id
/// of the master key; <c>seal:TENANT</c>, a data key wrapped by the master key.
/// <para>
/// Two levels, so that a tenant can be shredded: its wrapped key is deleted, and what it sealed is noise, in the
/// database, in the blobs and wherever a copy of them lies without that row. A data key is durable before anything is
/// sealed under it. Without a master key everything is stored as it is; the first start with one seals from then on, and
/// no later start goes without.
/// </para>
/// </summary>
internal sealed class TenantKeys : IDisposable
{
    private const string AddressKeyName = "tenant_key", MasterName = "seal", Prefix = "seal:", AddressKeyPlace = "address-key";
    private const int AddressKeyLength = 32;

    private readonly MasterKey? _master;
    private readonly SemaphoreSlim _one = new(1);

    private TenantKeys(MasterKey? master, ReadOnlyMemory<byte> addressKey, ContentSeal? seal) => (_master, AddressKey, Seal) = (master, addressKey, seal);

    /// <summary>Key of the hashes that name blobs.</summary>
    internal ReadOnlyMemory<byte> AddressKey { get; }

    /// <summary><c>null</c> where nothing is sealed.</summary>
    internal ContentSeal? Seal { get; }

    /// <param name="keyFile"><c>null</c> for none.</param>
    internal static (TenantKeys? Keys, Failure? Failure) Open(SqliteConnection connection, string database, string? keyFile)
    {
        MasterKey? master = null;
        if (keyFile is not null)
        {
            (master, var failure) = MasterKey.Read(keyFile);
            if (master is null)
                return (null, failure);
        }

        var stored = Meta.Get(connection, AddressKeyName);
        if (stored is null)
            return Corrupt(database);
        var known = Meta.Get(connection, MasterName);
        if (known is not null && master is null)
            return (null, new Failure(ErrorCodes.KeyMissing, $"{database}: is sealed and no key is given: set storage.key_file to the file with its key"));
        if (known is not null && !known.AsSpan().SequenceEqual(master!.Id))
            return (null, new Failure(ErrorCodes.KeyMissing, $"{database}: is sealed with another key than the one in {keyFile}: set storage.key_file to the file with its key"));
        if (master is null)
            return stored.Length == AddressKeyLength ? (new TenantKeys(null, stored, null), null) : Corrupt(database);

        var addressKey = known is null ? stored : SealedBox.Open(master.Bytes, AddressKeyPlace, stored);
        if (addressKey is not { Length: AddressKeyLength })
            return Corrupt(database);
        if (known is null)
            Adopt(connection, master, addressKey);
        if (Meta.Get(connection, Prefix + BudgetNodes.DefaultTenant) is null)
            Meta.Set(connection, Prefix + BudgetNodes.DefaultTenant, Mint(master, BudgetNodes.DefaultTenant).Wrapped);
        var seal = new ContentSeal();
        foreach (var (tenant, wrapped) in Wrapped(connection))
        {
            if (SealedBox.Open(master.Bytes, PlaceOf(tenant), wrapped) is not { Length: SealedBox.KeyIdLength + MasterKey.Length } key)
                return Corrupt(database);
            seal.Add(tenant, new DataKey(key[..SealedBox.KeyIdLength], key[SealedBox.KeyIdLength..]));
        }

        return (new TenantKeys(master, addressKey, seal), null);
    }

    /// <summary>Makes sure, durably, that the tenant has a key. Before anything of it is sealed, and not in the same unit: that one may be undone.</summary>
    internal async ValueTask EnsureAsync(string tenant, SqliteConnection connection, Writer writer)
    {
        if (Seal is null || Seal.Has(tenant))
            return;
        await _one.WaitAsync();
        try
        {
            if (Seal.Has(tenant))
                return;
            var (key, wrapped) = Mint(_master!, tenant);
            await writer.DoAsync(() =>
            {
                Meta.Set(connection, Prefix + tenant, wrapped);
                return (true, true);
            });
            Seal.Add(tenant, key);
        }
        finally
        {
            _one.Release();
        }
    }

    internal async Task<ShredOutcome> ShredAsync(string tenant, SqliteConnection connection, Writer writer)
    {
        if (Seal is null)
            return new ShredOutcome.NoKey();
        await _one.WaitAsync();
        try
        {
            var outcome = await writer.DoAsync<ShredOutcome>(() =>
            {
                if (Users(connection, tenant) is > 0 and var users)
                    return (new ShredOutcome.InUse(users), false);

                // Without this the freed place in the page would keep the wrapped key.
                Execute(connection, "PRAGMA secure_delete = ON");
                var gone = Meta.Remove(connection, Prefix + tenant);
                Execute(connection, "PRAGMA secure_delete = OFF");

                // From this very unit on: a run that is created after it must not be sealed under a key that is gone.
                Seal.Forget(tenant);
                return gone ? (new ShredOutcome.Shredded(), true) : (new ShredOutcome.NoKey(), false);
            });

            // The log still has the page as it was.
            writer.Between(() =>
            {
                Execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
                return true;
            });
            return outcome;
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>The first start with a key. The key that names blobs must not stay readable: with it, names tell who stored a known content.</summary>
    private static void Adopt(SqliteConnection connection, MasterKey master, byte[] addressKey)
    {
        Execute(connection, "PRAGMA secure_delete = ON");
        using (var transaction = connection.BeginTransaction(deferred: false))
        {
            Meta.Set(connection, AddressKeyName, SealedBox.Seal(master.Bytes, master.Id, AddressKeyPlace, addressKey));
            Meta.Set(connection, MasterName, master.Id);
            transaction.Commit();
        }

        Execute(connection, "PRAGMA secure_delete = OFF");
        Execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    }

    private static (DataKey Key, byte[] Wrapped) Mint(MasterKey master, string tenant)
    {
        var key = new DataKey(RandomNumberGenerator.GetBytes(SealedBox.KeyIdLength), RandomNumberGenerator.GetBytes(MasterKey.Length));
        return (key, SealedBox.Seal(master.Bytes, master.Id, PlaceOf(tenant), [.. key.Id, .. key.Bytes]));
    }

    /// <summary>What could not go on without the tenant's key. Schedules are stored under the default tenant's.</summary>
    private static long Users(SqliteConnection connection, string tenant)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT (SELECT count(*) FROM runs WHERE tenant = $tenant AND ended_at IS NULL) + (SELECT count(*) FROM schedules WHERE $tenant = $default)";
        command.Parameters.AddWithValue("$tenant", tenant);
        command.Parameters.AddWithValue("$default", BudgetNodes.DefaultTenant);
        return (long)command.ExecuteScalar()!;
    }

    private static string PlaceOf(string tenant) => $"data-key:{tenant}";

    private static (TenantKeys?, Failure?) Corrupt(string database) =>
        (null, new Failure(ErrorCodes.DatabaseCorrupt, $"{database}: its key is missing or damaged: restore the data directory from a backup"));

    private static List<(string Tenant, byte[] Wrapped)> Wrapped(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name, value FROM meta WHERE name >= 'seal:' AND name < 'seal;'";
        using var rows = command.ExecuteReader();
        var found = new List<(string, byte[])>();
        while (rows.Read())
            found.Add((rows.GetString(0)[Prefix.Length..], rows.GetFieldValue<byte[]>(1)));
        return found;
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public void Dispose() => _one.Dispose();
}
