using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Stores;
using Caisson.Simulation.Tests.Workload;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Simulation.Tests.Nodes;

/// <summary>What all nodes are made with.</summary>
internal sealed record Site(StoreHub Hub, World World, Weather Weather, Core.InMemory.MemoryBlobs Blobs, SimRandom Random);

/// <summary>One incarnation of a server process: an engine and a schedule keeper on a process of the simulation.</summary>
#pragma warning disable CA1001 // A process that is killed disposes of nothing, and each of these ends so.
internal sealed class Node
#pragma warning restore CA1001
{
    internal static readonly AgentBuilds Builds = new(new Dictionary<string, string> { [ProgramAgent.Name] = "1" });

    private readonly ScheduleKeeper _keeper;

    internal Node(Site site, SimProcess process)
    {
        Process = process;
        var random = site.Random.Fork();
        process.Clock.Offset = random.Time(-site.Weather.LongestOffsetMs, site.Weather.LongestOffsetMs);
        var clock = new StoreTime(process.Clock, SimLoop.Birth);
        var ids = new SimIds(random, clock);
        var view = new StoreView(site.Hub, process);
        var models = new SimModels(clock, random.Fraction, process);
        var newRuns = new NewRuns(site.Blobs, models, [], Builds, clock, ids);
        var signals = new RunSignals(process);
        Engine = new Engine(new EngineOptions { MaxConcurrentRuns = site.Weather.MaxRuns, HoldWaiting = TimeSpan.FromSeconds(site.Weather.HoldSeconds) }, new EngineParts
        {
            Store = view,
            Reader = view,
            Nodes = view,
            Budgets = view,
            Blobs = site.Blobs,
            Models = models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { [ProgramAgent.Name] = new ProgramAgent(site.World, process) },
            Builds = Builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = new SimDice(random),
            Logs = NullLoggerFactory.Instance,
            Scheduler = process,
            Self = new NodeRegistration(default, process.Name, "simulated", process.Number, 0),
        });
        _keeper = new ScheduleKeeper(view, view, newRuns, signals, clock, NullLogger.Instance, () => Engine.Ready, process);
    }

    internal SimProcess Process { get; }

    internal Engine Engine { get; }

    internal Task StartAsync() => Process.Run(async () =>
    {
        await Engine.StartAsync(CancellationToken.None);
        _keeper.Start();
    });

    internal Task DrainAsync(TimeSpan limit) => Process.Run(() => Engine.DrainAsync(limit));
}
