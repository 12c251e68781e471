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

namespace Caisson.Bench.Workloads;

/// <summary>The real engine on the real store with full sync, in this process, with one agent in code.</summary>
internal sealed class BenchEngine : IAsyncDisposable
{
    private const string AgentName = "bench";
    private static readonly TimeSpan DrainWithin = TimeSpan.FromSeconds(10);

    private readonly ModelCallPipeline _models;
    private readonly Runs _runs;

    private BenchEngine(SqliteStore store, ModelCallPipeline models, ObservedStore observed, Engine engine, Runs runs, RunOperations operations) =>
        (Store, _models, Observed, Engine, _runs, Operations) = (store, models, observed, engine, runs, operations);

    internal SqliteStore Store { get; }

    internal ObservedStore Observed { get; }

    internal Engine Engine { get; }

    internal RunOperations Operations { get; }

    internal static BenchEngine Open(string folder, IAgent agent, EngineOptions? options = null)
    {
        var clock = TimeProvider.System;
        var ids = new SystemIds(clock);
        if (SqliteStore.Open(new SqliteOptions { DataDirectory = folder }, clock, NullLogger.Instance) is not SqliteOpenOutcome.Opened { Store: var store })
            throw new InvalidOperationException($"{folder} could not be opened");
        var blobs = new FileBlobStore(Path.Combine(folder, "blobs"), store.TenantKey.Span);
        var models = new ModelCallPipeline([], PriceTable.Embedded, clock, Random.Shared, NullLogger.Instance);
        var signals = new RunSignals();
        var builds = new AgentBuilds(new Dictionary<string, string> { [AgentName] = "1" });
        var newRuns = new NewRuns(blobs, models, [], builds, clock, ids);
        var observed = new ObservedStore(store);
        var engine = new Engine(options ?? new EngineOptions(), new EngineParts
        {
            Store = observed,
            Reader = store,
            Nodes = store,
            Budgets = store,
            Blobs = blobs,
            Models = models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { [AgentName] = agent },
            Builds = builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = Random.Shared,
            Logs = NullLoggerFactory.Instance,
        });
        return new BenchEngine(store, models, observed, engine,
            new Runs(observed, store, blobs, models, newRuns, new WorkspaceStore(blobs), signals, clock, ids),
            new RunOperations(observed, store, store, blobs, models, signals, clock, ids));
    }

    internal Task StartAsync() => Engine.StartAsync(default);

    /// <param name="steps">Their limit, and their input.</param>
    internal async Task<RunId[]> CreateAsync(int runs, int steps)
    {
        var manifest = $"name: {AgentName}\ncode: {AgentName}\nlimits: {{ steps: {steps} }}\n";
        var outcomes = await Task.WhenAll(Enumerable.Range(0, runs).Select(_ =>
            _runs.CreateAsync(new CreateRun(manifest, "bench.yaml", $"{steps}", new RunOverrides(), new Dictionary<string, string>(), null), default)));
        return [.. outcomes.Select(outcome => outcome is CreateRunOutcome.Accepted accepted ? accepted.Run : throw new InvalidOperationException($"a run was refused: {outcome}"))];
    }

    public async ValueTask DisposeAsync()
    {
        await Engine.DrainAsync(DrainWithin);
        await Engine.DisposeAsync();
        _models.Dispose();
        await Store.DisposeAsync();
    }
}
