using System.Collections.Concurrent;
using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Gateway;
using Caisson.Gateway.Prices;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Bench;

/// <summary>Runs × steps through the real engine and the real store, full sync: each step returns 2 KiB that are durable before the next begins.</summary>
internal sealed class Workload(int runs, int steps) : IAgent, IDisposable
{
    private readonly ConcurrentBag<double> _latencies = [];
    private readonly CountdownEvent _open = new(runs);

    internal sealed record Figures(double StepsPerSecond, double P50, double P99, double CpuSecondsPer1000);

    public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var bytes = new byte[1536];
        new Random(context.Run.GetHashCode()).NextBytes(bytes);
        var result = Convert.ToBase64String(bytes);
        for (var i = 0; i < steps; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await context.StepAsync("step", () => Task.FromResult(result));
            _latencies.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        _open.Signal();
        return "done";
    }

    public void Dispose() => _open.Dispose();

    internal static async Task<Figures> MeasureAsync(string folder, int runs, int steps)
    {
        using var workload = new Workload(runs, steps);
        var clock = TimeProvider.System;
        var ids = new SystemIds(clock);
        var opened = (SqliteOpenOutcome.Opened)SqliteStore.Open(new SqliteOptions { DataDirectory = folder }, clock, NullLogger.Instance);
        await using var store = opened.Store;
        var blobs = new FileBlobStore(folder, store.TenantKey.Span);
        using var models = new ModelCallPipeline([], PriceTable.Embedded, clock, Random.Shared, NullLogger.Instance);
        var signals = new RunSignals();
        var builds = new AgentBuilds(new Dictionary<string, string> { ["bench"] = "1" });
        var newRuns = new NewRuns(blobs, models, [], builds, clock, ids);
        await using var engine = new Engine(new EngineOptions(), new EngineParts
        {
            Store = store,
            Reader = store,
            Nodes = store,
            Blobs = blobs,
            Models = models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { ["bench"] = workload },
            Builds = builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = Random.Shared,
            Logs = NullLoggerFactory.Instance,
        });
        var api = new Runs(store, store, blobs, models, newRuns, new WorkspaceStore(blobs), signals, clock, ids);

        // All runs are accepted first, so that what is timed is steps and nothing else.
        var manifest = $"name: bench\ncode: bench\nlimits: {{ steps: {Math.Max(steps, 1)} }}\n";
        await Task.WhenAll(Enumerable.Range(0, runs).Select(_ =>
            api.CreateAsync(new CreateRun(manifest, "bench.yaml", "", new RunOverrides(), new Dictionary<string, string>(), null), default)));
        var cpu = Environment.CpuUsage.TotalTime;
        var start = Stopwatch.GetTimestamp();
        await engine.StartAsync(default);
        await Task.Run(workload._open.Wait);
        var took = Stopwatch.GetElapsedTime(start);
        var used = Environment.CpuUsage.TotalTime - cpu;
        await engine.DrainAsync(TimeSpan.FromSeconds(10));
        var latencies = workload._latencies.ToArray();
        return new Figures(runs * steps / took.TotalSeconds, Statistics.Percentile(latencies, 0.5), Statistics.Percentile(latencies, 0.99), used.TotalSeconds / (runs * steps) * 1000);
    }
}
