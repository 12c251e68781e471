using Caisson.Contracts;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Tests.Conformance;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.Sqlite;

internal sealed class SqliteStoreHost(TimeProvider clock) : IStoreHost
{
    private readonly TempFolder _folder = new();
    private SqliteStore? _store;

    public IRunStore Store => Opened;

    public IRunReader Reader => Opened;

    public INodeStore Nodes => Opened;

    private SqliteStore Opened => _store ??= Open(_folder.Path, clock);

    internal static SqliteStore Open(string folder, TimeProvider clock) => SqliteStore.Open(new SqliteOptions { DataDirectory = folder }, clock, NullLogger.Instance) switch
    {
        SqliteOpenOutcome.Opened opened => opened.Store,
        SqliteOpenOutcome.Refused refused => throw new Xunit.Sdk.XunitException(refused.Failure.Message),
        _ => throw new InvalidOperationException(),
    };

    public async Task ReopenAsync()
    {
        await Opened.DisposeAsync();
        _store = null;
    }

    public async Task<IReadOnlyList<WasteRow>> WasteAsync(RunId run)
    {
        var rows = new List<WasteRow>();
        await using var connection = new SqliteConnection($"Data Source={Path.Combine(Opened.DataDirectory, "caisson.db")};Pooling=False");
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT step_key, epoch, nano_usd, tokens, cause, at FROM waste WHERE run = (SELECT id FROM runs WHERE run_id = $run) ORDER BY id";
        command.Parameters.AddWithValue("$run", run.ToString());
        await using var reader = await command.ExecuteReaderAsync();
        while (await reader.ReadAsync())
            rows.Add(new WasteRow(run, reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2), reader.GetInt64(3), reader.GetString(4), DateTimeOffset.FromUnixTimeMilliseconds(reader.GetInt64(5))));
        return rows;
    }

    public async ValueTask DisposeAsync()
    {
        if (_store is { } store)
            await store.DisposeAsync();
        _folder.Dispose();
    }
}

public sealed class SqliteRunStoreTests : RunStoreConformance
{
    protected override Task<IStoreHost> OpenAsync(TimeProvider clock) => Task.FromResult<IStoreHost>(new SqliteStoreHost(clock));
}
