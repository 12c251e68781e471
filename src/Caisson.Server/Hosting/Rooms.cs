using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Sandboxes;
using Caisson.Gateway;
using Caisson.Gateway.Prices;
using Caisson.Sandboxes;
using Caisson.Server.Configuration;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging;

namespace Caisson.Server.Hosting;

/// <summary>The parts of a server, put together by hand: one place shows who gets what.</summary>
internal sealed class Rooms : IAsyncDisposable
{
    private readonly SqliteStore _store;
    private readonly ModelCallPipeline _models;
    private readonly IReadOnlyList<ISandboxProvider> _sandboxes;

    private Rooms(SqliteStore store, ModelCallPipeline models, IReadOnlyList<ISandboxProvider> sandboxes, Engine engine, Runs runs)
    {
        _store = store;
        _models = models;
        _sandboxes = sandboxes;
        Engine = engine;
        Runs = runs;
    }

    internal Engine Engine { get; }

    internal Runs Runs { get; }

    internal static (Rooms? Rooms, Failure? Failure) Open(ServerOptions options, TimeProvider clock, IIdSource ids, ILoggerFactory logs)
    {
        switch (SqliteStore.Open(new SqliteOptions { DataDirectory = options.DataDirectory }, clock, logs.CreateLogger<SqliteStore>()))
        {
            case SqliteOpenOutcome.Refused refused:
                return (null, refused.Failure);
            case SqliteOpenOutcome.Opened opened:
                return (Assemble(options, opened.Store, clock, ids, logs), null);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    internal ReadyView Ready() => new(!Engine.Draining, Engine.Draining ? "the server is stopping" : null, Engine.Running, 0);

    public async ValueTask DisposeAsync()
    {
        await Engine.DisposeAsync();
        foreach (var sandbox in _sandboxes)
            await sandbox.DisposeAsync();
        _models.Dispose();
        await _store.DisposeAsync();
    }

    private static Rooms Assemble(ServerOptions options, SqliteStore store, TimeProvider clock, IIdSource ids, ILoggerFactory logs)
    {
#pragma warning disable RS0030 // The composition is where the process's one source of chance is made.
        var random = new Random();
#pragma warning restore RS0030
        throw new NotImplementedException();
    }
}
