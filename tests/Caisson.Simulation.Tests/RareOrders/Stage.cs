using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Workload;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Simulation.Tests.RareOrders;

/// <summary>One node, one run, and a hand on the order of things: what a seed found by chance, told on purpose.</summary>
internal sealed class Stage
{
    private const long MostSteps = 100_000;
    private static readonly AgentBuilds Builds = new(new Dictionary<string, string> { ["test"] = "1" });

    private readonly SimRandom _random;
    private readonly SimLoop _loop;
    private readonly MemoryBlobs _blobs = new();
    private readonly Core.Lifecycle.Runs _runs;
    private RunSignals _signals;

    internal Stage(ulong seed = 1)
    {
        _random = new SimRandom(seed);
        _loop = new SimLoop(seed);
        Outside = _loop.NewProcess("outside");
        Store = new MemoryStore(Outside.Clock);
        Gate = new GatedStore(Store);
        _signals = new RunSignals(Outside);
        var ids = new SimIds(_random, Outside.Clock);
        _runs = new Core.Lifecycle.Runs(Store, Store, _blobs, new SimModels(Outside.Clock, _random.Fraction, Outside), NewRuns(Outside.Clock, ids), null!, _signals, Outside.Clock, ids);
    }

    internal SimProcess Outside { get; }

    internal SimProcess Process { get; private set; } = null!;

    internal Engine Engine { get; private set; } = null!;

    internal MemoryStore Store { get; }

    internal GatedStore Gate { get; }

    internal RunId Run { get; private set; }

    internal RunRecord Record => Store.Snapshot().Find(Run)!.Record;

    internal IReadOnlyList<JournalEntry> Journal => [.. Store.Snapshot().Find(Run)!.Journal.Select(e => e.Entry)];

    internal IEnumerable<EntryKind> Kinds => Store.Snapshot().Find(Run)!.Journal.Select(e => e.Entry.Kind);

    internal void Create() => Do(async () => Run = Assert.IsType<CreateRunOutcome.Accepted>(
        await _runs.CreateAsync(new CreateRun("name: test\ncode: test\n", "test.yaml", "", new RunOverrides(), new Dictionary<string, string>(), null), default)).Run);

    /// <summary>A new process, in place of the one before.</summary>
    internal void Start(Func<IRunContext, Task<string>> agent, TimeSpan? hold = null, IAdmission? admission = null)
    {
        Process = _loop.NewProcess("node");
        _signals = new RunSignals(Process);
        var ids = new SimIds(_random, Process.Clock);
        var models = new SimModels(Process.Clock, _random.Fraction, Process);
        Engine = new Engine(new EngineOptions { HoldWaiting = hold ?? TimeSpan.FromSeconds(60) }, new EngineParts
        {
            Store = Gate,
            Reader = Store,
            Nodes = Store,
            Budgets = Store,
            Blobs = _blobs,
            Models = models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { ["test"] = new Agent(agent) },
            Builds = Builds,
            NewRuns = NewRuns(Process.Clock, ids),
            Signals = _signals,
            Clock = Process.Clock,
            Ids = ids,
            Random = new SimDice(_random),
            Logs = NullLoggerFactory.Instance,
            Scheduler = Process,
            Self = new NodeRegistration(default, "node", "simulated", 1, 0),
            Admission = admission,
        });
        _loop.Run(Process.Run(() => Engine.StartAsync(default)), MostSteps);
    }

    /// <summary>Inputs in their order, before anybody is told.</summary>
    internal void Post(params (InputKind Kind, byte[] Body)[] inputs) => Do(async () =>
    {
        foreach (var (kind, body) in inputs)
            Assert.IsType<PostOutcome.Posted>(await Store.PostAsync(new NewInput(Run, _random.Id().ToString("N"), kind, body), default));
        _signals.Due(Run);
    });

    internal static byte[] By(string who) => JournalJson.Write(new InputBody.Operator(who, null, null));

    internal static byte[] Yes(string key) => JournalJson.Write(new InputBody.Approval(key, true, "me", null));

    internal static byte[] Signal(string name) => JournalJson.Write(new InputBody.Signal(name, "1", "me"));

    internal void Wait(TimeSpan time) => Do(() => Outside.DelayAsync(time));

    /// <summary>Lets things happen until it is so; fails where it never is, or something breaks before.</summary>
    internal void Until(Func<bool> reached) => Do(async () =>
    {
        while (!reached())
        {
            Assert.False(Engine.Stopped.IsCompleted, Engine.Stopped.Exception?.ToString());
            await Outside.DelayAsync(TimeSpan.FromMilliseconds(20));
        }
    });

    private void Do(Func<Task> act)
    {
        var steps = _loop.Steps;
        _loop.Run(Outside.Run(act), steps + MostSteps);
        Assert.True(_loop.Violation is null, $"{_loop.Violation?.Text}: {Record.Status} {Record.Waiting} {Record.Paused} due {Record.DueAt:O}, {string.Join(" ", Kinds)}");
    }

    private NewRuns NewRuns(TimeProvider clock, SimIds ids) => new(_blobs, new SimModels(clock, _random.Fraction, Outside), [], Builds, clock, ids);

    private sealed class Agent(Func<IRunContext, Task<string>> body) : IAgent
    {
        public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken) => body(context);
    }
}

/// <summary>Keeps the answer to an append until it is let through; the write itself is done.</summary>
internal sealed class GatedStore(MemoryStore store) : IRunStore
{
    private readonly TaskCompletionSource _open = new();

    internal Func<ChangeSet, bool> Holds { get; set; } = _ => false;

    internal bool Holding { get; private set; }

    internal void Open()
    {
        Holds = _ => false;
        _open.SetResult();
    }

    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) => store.CreateAsync(run, cancellationToken);

    public Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken) => store.ClaimAsync(run, node, cancellationToken);

    public async Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken)
    {
        var outcome = await store.AppendAsync(unit, cancellationToken);
        if (Holds(unit))
        {
            Holding = true;
            await _open.Task;
            Holding = false;
        }

        return outcome;
    }

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => store.PostAsync(input, cancellationToken);
}
