using System.Globalization;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.InMemory;
using Caisson.Simulation.Tests.Checks;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Nodes;
using Caisson.Simulation.Tests.Stores;
using Caisson.Simulation.Tests.Workload;

namespace Caisson.Simulation.Tests.Runs;

/// <param name="Trace">Hash over everything that happened.</param>
/// <param name="Ended">Runs that came to their end.</param>
internal sealed record ScenarioResult(ulong Seed, ulong Trace, long Steps, TimeSpan Time, int Ended, Violation? Violation)
{
    /// <summary>The one line that says what is wrong and how to see it again.</summary>
    internal string Line => Violation is null
        ? string.Create(CultureInfo.InvariantCulture, $"seed 0x{Seed:x16}: {Ended} runs, {Steps} steps, {Time:g}, trace {Trace:x16}")
        : string.Create(CultureInfo.InvariantCulture, $"make sim SEED=0x{Seed:x16} N=1 # {Violation.Invariant} at {Violation.At:g}, step {Violation.Step}: {Violation.Text}");
}

/// <summary>
/// One seed: a cluster in one thread, a while of trouble, then calm. 1. Nodes start, people start runs and meddle, things
/// go wrong. 2. Nothing goes wrong any more; whatever needs nobody comes to an end by itself. 3. People do what only they
/// can do, and every run ends. Throughout, every write is held against the invariants.
/// </summary>
internal sealed class Scenario
{
    private const long MostSteps = 3_000_000;
    private const int MostRounds = 60;
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(3);

    private readonly ulong _seed;
    private readonly SimLoop _loop;
    private readonly SimProcess _outside;
    private readonly Site _site;
    private readonly Checker _checker;

    internal Scenario(ulong seed, Breakage breakage = Breakage.None, bool tells = false)
    {
        _seed = seed;
        var random = new SimRandom(seed);
        _loop = new SimLoop(random.Next()) { Story = tells ? new Queue<string>() : null };
        _outside = _loop.NewProcess("outside");
        var weather = new Weather(random);
        var blobs = new MemoryBlobs();
        _checker = new Checker(_loop, blobs);
        var store = new MemoryStore(new StoreTime(_outside.Clock, SimLoop.Birth), shared: true);
        var world = new World(_loop, store);
        _site = new Site(new StoreHub(_outside, weather, random.Fork(), store, _checker, breakage, world), world, weather, blobs, random.Fork());
    }

    private MemoryState State => _site.Hub.Store.Snapshot();

    internal IReadOnlyCollection<string> Story => _loop.Story ?? [];

    internal ScenarioResult Run()
    {
        _loop.Run(_outside.Run(LiveAsync), MostSteps);
        return new ScenarioResult(_seed, _loop.Trace, _loop.Steps, _loop.Now, State.Runs.Values.Count(r => r.Record.Status.IsFinal()), _loop.Violation);
    }

    private async Task LiveAsync()
    {
        // 1.
        var cluster = new Cluster(_outside, _site);
        var crowd = new Crowd(_outside, _site);
        cluster.Start();
        var meddling = _outside.Run(crowd.MeddleAsync);
        await _outside.DelayAsync(TimeSpan.FromSeconds(_site.Weather.ChaosSeconds));

        // 2.
        _site.Weather.Calm = true;
        cluster.Heal();
        await meddling;
        await crowd.EndSchedulesAsync();
        for (var round = 0; ; round++)
        {
            await _outside.DelayAsync(Quiet);
            if (StuckCheck.Quiet(State, _outside.Clock.GetUtcNow()) is { } stuck)
                _loop.Fail(stuck.Item1, stuck.Item2);
            if (State.Runs.Values.All(r => r.Record.Status.IsFinal()))
                break;
            if (round == MostRounds)
                _loop.Fail("I5", "whatever people did, this never ended: " + Describe(State.Runs.Values.First(r => !r.Record.Status.IsFinal())));

            // 3.
            await crowd.HelpAsync(round);
        }

        _checker.CheckEnd(State);
        _site.World.CheckRepeats(State);
    }

    private static string Describe(MemoryRun run) =>
        $"run {run.Id} {run.Record.Status} {run.Record.Waiting} {run.Record.Paused} {run.Record.Summary.Detail}, last {string.Join(" ", run.Journal.TakeLast(8).Select(e => e.Entry.Kind))}";
}
