using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Gateway;
using Caisson.Gateway.Prices;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Bench;

/// <summary>The real engine on the real store, full sync, with one agent in code.</summary>
internal sealed class World : IAsyncDisposable
{
    private const string Agent = "bench";
    private readonly RunOperations _operations;
    private readonly Runs _runs;
    private readonly ModelCallPipeline _models;

    internal World(string folder, IAgent agent, TimeSpan? hold = null)
    {
        var clock = TimeProvider.System;
        var ids = new SystemIds(clock);
        Store = SqliteStore.Open(new SqliteOptions { DataDirectory = folder }, clock, NullLogger.Instance) switch
        {
            SqliteOpenOutcome.Opened opened => opened.Store,
            SqliteOpenOutcome.Refused refused => throw new InvalidOperationException(refused.Failure.Message),
            _ => throw new InvalidOperationException("unreachable"),
        };
        var blobs = new FileBlobStore(folder, Store.TenantKey.Span);
        _models = new ModelCallPipeline([], PriceTable.Embedded, clock, Random.Shared, NullLogger.Instance);
        var signals = new RunSignals();
        var builds = new AgentBuilds(new Dictionary<string, string> { [Agent] = "1" });
        var newRuns = new NewRuns(blobs, _models, [], builds, clock, ids);
        Engine = new Engine(new EngineOptions { MaxConcurrentRuns = 20_000, HoldWaiting = hold ?? TimeSpan.FromMinutes(10) }, new EngineParts
        {
            Store = Store,
            Reader = Store,
            Nodes = Store,
            Budgets = Store,
            Blobs = blobs,
            Models = _models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { [Agent] = agent },
            Builds = builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = Random.Shared,
            Logs = NullLoggerFactory.Instance,
        });
        _runs = new Runs(Store, Store, blobs, _models, newRuns, new WorkspaceStore(blobs), signals, clock, ids);
        _operations = new RunOperations(Store, Store, Store, blobs, _models, signals, clock, ids);
    }

    internal SqliteStore Store { get; }

    internal Engine Engine { get; }

    internal Task CreateAsync(int runs) => Task.WhenAll(Enumerable.Range(0, runs).Select(_ =>
        _runs.CreateAsync(new CreateRun($"name: {Agent}\ncode: {Agent}\nlimits: {{ steps: 100000 }}\n", "bench.yaml", "", new RunOverrides(), new Dictionary<string, string>(), null), default)));

    internal async Task SignalAllAsync()
    {
        foreach (var run in await _runs.ListAsync(new Core.Stores.RunFilter(null, null, null, 100_000), default))
            await _operations.SignalAsync(run.Id, Work.Signal, "null"u8.ToArray(), null, "bench", default);
    }

    internal async Task UntilAllWaitAsync(int runs, bool unloaded)
    {
        while ((await Store.ListAsync(new Core.Stores.RunFilter([RunStatus.Waiting], null, null, 100_000), default)).Count(r => !unloaded || r.Owner is null) < runs)
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await Engine.DrainAsync(TimeSpan.FromSeconds(10));
        await Engine.DisposeAsync();
        await Store.DisposeAsync();
        _models.Dispose();
    }
}
