using Caisson.Bench.Host;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Sandboxes;
using Caisson.Gateway;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Processes;
using Caisson.Gateway.Providers;
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
    private readonly ProcessGateway? _gateway;
    private readonly Runs _runs;

    private BenchEngine(SqliteStore store, ModelCallPipeline models, ProcessGateway? gateway, ObservedStore observed, Engine engine, Runs runs, RunOperations operations) =>
        (Store, _models, _gateway, Observed, Engine, _runs, Operations) = (store, models, gateway, observed, engine, runs, operations);

    internal SqliteStore Store { get; }

    internal ObservedStore Observed { get; }

    internal Engine Engine { get; }

    internal RunOperations Operations { get; }

    internal static BenchEngine Open(string folder, IAgent agent, EngineOptions? options = null) => Open(folder, new Dictionary<string, IAgent> { [AgentName] = agent }, [], [], null, options);

    /// <summary>For one process agent, whose program is code of this process and talks to the gateway's port.</summary>
    internal static async Task<BenchEngine> OpenProcessAsync(string folder, Uri model, Func<int, Task> program)
    {
        var provider = new ProviderOptions { Name = "fixed", BaseUrl = model.ToString().TrimEnd('/') };
        provider.Prices["*"] = new PriceOptions { Input = 1, Output = 10 };
        var bench = Open(folder, new Dictionary<string, IAgent>(), [provider], [new OpenBoxes(program)], models => new ProcessGateway(models, new EgressGate(new EgressOptions(), new SystemResolver(TimeProvider.System), new SocketConnector(), TimeProvider.System), TimeProvider.System, NullLoggerFactory.Instance), null);
        await bench._gateway!.StartAsync(default);
        return bench;
    }

    private static BenchEngine Open(string folder, Dictionary<string, IAgent> agents, IReadOnlyList<ProviderOptions> providers, IReadOnlyList<ISandboxProvider> boxes, Func<ModelCallPipeline, ProcessGateway>? processes, EngineOptions? options)
    {
        var clock = TimeProvider.System;
        var ids = new SystemIds(clock);
        if (SqliteStore.Open(new SqliteOptions { DataDirectory = folder }, clock, NullLogger.Instance) is not SqliteOpenOutcome.Opened { Store: var store })
            throw new InvalidOperationException($"{folder} could not be opened");
        var blobs = new FileBlobStore(Path.Combine(folder, "blobs"), store.TenantKey.Span);
        var models = new ModelCallPipeline(providers, PriceTable.Embedded, clock, Random.Shared, NullLogger.Instance);
        var signals = new RunSignals();
        var builds = new AgentBuilds(new Dictionary<string, string> { [AgentName] = "1" });
        var newRuns = new NewRuns(blobs, models, boxes, builds, clock, ids, servesProcesses: processes is not null);
        var gateway = processes?.Invoke(models);
        var observed = new ObservedStore(store);
        var engine = new Engine(options ?? new EngineOptions(), new EngineParts
        {
            Store = observed,
            Reader = store,
            Nodes = store,
            Budgets = store,
            Blobs = blobs,
            Models = models,
            Sandboxes = boxes,
            Processes = gateway,
            CodeAgents = agents,
            Builds = builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = Random.Shared,
            Logs = NullLoggerFactory.Instance,
        });
        return new BenchEngine(store, models, gateway, observed, engine,
            new Runs(observed, store, blobs, models, newRuns, new WorkspaceStore(blobs), signals, clock, ids),
            new RunOperations(observed, store, store, blobs, models, signals, clock, ids));
    }

    internal Task StartAsync() => Engine.StartAsync(default);

    /// <param name="steps">Their limit, and their input.</param>
    internal Task<RunId[]> CreateAsync(int runs, int steps) => CreateAsync($"name: {AgentName}\ncode: {AgentName}\nlimits: {{ steps: {steps} }}\n", runs, steps);

    internal Task CreateProcessAsync() => CreateAsync($"name: {AgentName}\nprocess: {{ command: [program] }}\nlimits: {{ usd: 1000, steps: 100000, model_calls: 100000 }}\nloop_guard: {{ on_loop: warn }}\n", 1, 0);

    private async Task<RunId[]> CreateAsync(string manifest, int runs, int steps)
    {
        var outcomes = await Task.WhenAll(Enumerable.Range(0, runs).Select(_ =>
            _runs.CreateAsync(new CreateRun(manifest, "bench.yaml", $"{steps}", new RunOverrides(), new Dictionary<string, string>(), null), default)));
        return [.. outcomes.Select(outcome => outcome is CreateRunOutcome.Accepted accepted ? accepted.Run : throw new InvalidOperationException($"a run was refused: {outcome}"))];
    }

    public async ValueTask DisposeAsync()
    {
        await Engine.DrainAsync(DrainWithin);
        await Engine.DisposeAsync();
        if (_gateway is not null)
            await _gateway.DisposeAsync();
        _models.Dispose();
        await Store.DisposeAsync();
    }
}
