using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Budgets;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Sandboxes;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;
using Caisson.Gateway;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Processes;
using Caisson.Sandboxes;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Workspaces;
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
    private readonly BoxHost _boxes;
    private readonly ProcessGateway _processes;

    private Rooms(SqliteStore store, ModelCallPipeline models, ProcessGateway processes, BoxHost boxes, Engine engine, Runs runs)
    {
        _store = store;
        _processes = processes;
        _models = models;
        _boxes = boxes;
        Engine = engine;
        Runs = runs;
    }

    internal Engine Engine { get; }

    internal Runs Runs { get; }

    internal required StorageRoom Storage { get; init; }

    internal required ScheduleKeeper Keeper { get; init; }

    internal required ScheduleBook Schedules { get; init; }

    internal required RunOperations Operations { get; init; }

    internal required KillSwitches Kills { get; init; }

    internal IEventStore Events => _store;

    internal ISandboxRegistry Boxes => _boxes;

    internal required SandboxSnapshots Snapshots { get; init; }

    internal required IWorkspaceStore Workspaces { get; init; }

    internal required WorkspaceUpload Uploads { get; init; }

    internal static (Rooms? Rooms, Failure? Failure) Open(ServerOptions options, AgentCatalog agents, TimeProvider clock, IIdSource ids, ILoggerFactory logs)
    {
        var time = new StoreTime(clock, DateTimeOffset.MinValue, BootClock.Nanoseconds);
        switch (SqliteStore.Open(new SqliteOptions { DataDirectory = options.DataDirectory, KeyFile = options.Storage.KeyFile }, time, logs.CreateLogger<SqliteStore>()))
        {
            case SqliteOpenOutcome.Refused refused:
                return (null, refused.Failure);
            case SqliteOpenOutcome.Opened opened:
                time.NotBefore(opened.Store.LastWritten);
                return (Assemble(options, agents, opened.Store, time, ids, logs), null);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>Completes when this process must end: the engine may act no more, or the disk failed.</summary>
    internal Task Stopped => Task.WhenAny(Engine.Stopped, Storage.Faulted).Unwrap();

    /// <summary>Begins to claim and drive runs, and to start those that schedules ask for.</summary>
    internal async Task StartAsync(CancellationToken cancellationToken)
    {
        _boxes.Sweep();
        if (_store.Restored)
        {
            _boxes.DiscardCheckpoints();
            await Runs.PauseRestoredAsync(cancellationToken);
            await _store.SettleRestoredAsync();
        }

        var processes = _processes.StartAsync(cancellationToken);
        await Engine.StartAsync(cancellationToken);
        await processes;
        Storage.Start();
        Keeper.Start();
    }

    internal ReadyView Ready() => new(Engine.Ready, Engine.NotReady, Engine.Running);

    public async ValueTask DisposeAsync()
    {
        await Keeper.DisposeAsync();
        await Storage.DisposeAsync();
        await Engine.DisposeAsync();
        await _processes.DisposeAsync();
        await _boxes.DisposeAsync();
        Snapshots.Dispose();
        _models.Dispose();
        await _store.DisposeAsync();
    }

    private static Rooms Assemble(ServerOptions options, AgentCatalog agents, SqliteStore store, TimeProvider clock, IIdSource ids, ILoggerFactory logs)
    {
#pragma warning disable RS0030 // The composition is where the process's one source of chance is made.
        var random = new Random();
#pragma warning restore RS0030
        var blobs = new FileBlobStore(Path.Combine(options.DataDirectory, "blobs"), store.TenantKey.Span, clock, store.Seal);
        var storage = new StorageRoom(options.Storage, store, blobs, clock, logs);
        var models = new ModelCallPipeline(options.Providers, options.Prices, clock, random, logs.CreateLogger<ModelCallPipeline>());
        var boxes = new BoxHost(SandboxOptionsOf(options), blobs, clock, logs.CreateLogger<BoxHost>());
        var sandboxes = SandboxKinds.On(boxes);
        var workspaces = new WorkspaceStore(blobs);
        var signals = new RunSignals();
        var kills = new KillSwitches(store, clock);
        var egress = new EgressGate(options.Egress, new SystemResolver(clock), new SocketConnector(), clock);
        var processes = new ProcessGateway(models, egress, clock, logs);
        var newRuns = new NewRuns(blobs, models, sandboxes, agents.Builds, clock, ids, kills, boxes, egress, servesProcesses: true);
        var engine = new Engine(new EngineOptions { MaxConcurrentRuns = options.MaxConcurrentRuns }, new EngineParts
        {
            Store = store,
            Reader = store,
            Nodes = store,
            Budgets = store,
            Unconfirmed = store,
            Blobs = blobs,
            Models = models,
            Sandboxes = sandboxes,
            CodeAgents = agents.Agents,
            Builds = agents.Builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = clock,
            Ids = ids,
            Random = random,
            Logs = logs,
            Admission = storage.Admission,
            Kills = kills,
            Egress = egress,
            Processes = processes,
            Events = store,
            Workspaces = workspaces,
        });
        var runs = new Runs(store, store, blobs, models, newRuns, workspaces, signals, clock, ids);
        var keeper = new ScheduleKeeper(store, store, newRuns, signals, clock, logs.CreateLogger<ScheduleKeeper>(), () => engine.Ready);
        var schedules = new ScheduleBook(store, store, store, newRuns, keeper, signals, clock, ids);
        return new Rooms(store, models, processes, boxes, engine, runs)
        {
            Storage = storage,
            Keeper = keeper,
            Schedules = schedules,
            Operations = new RunOperations(store, store, store, blobs, models, signals, clock, ids, kills),
            Kills = kills,
            Workspaces = workspaces,
            Snapshots = new SandboxSnapshots(boxes, new LiveSnapshots(boxes, sandboxes), store, store, storage.Admission,
                new SnapshotLimits(options.Sandbox.MaxSnapshots, options.Sandbox.MaxSnapshotBytes), clock, ids),
            Uploads = new WorkspaceUpload(blobs),
        };
    }

    internal static SandboxOptions SandboxOptionsOf(ServerOptions options) => new()
    {
        StateDirectory = Path.Combine(options.DataDirectory, "boxes"),
        RunscPath = options.Sandbox.Runsc,
        GuestPath = options.Sandbox.GuestAgent,
        BwrapPath = options.Sandbox.Bwrap,
        Pool = options.Sandbox.Pool,
        MaxBoxes = options.Sandbox.MaxBoxes,
        MemoryReserve = options.Sandbox.MemoryReserve,
        ForkLife = options.Sandbox.ForkLife,
        Images = options.Sandbox.Images,
    };
}
