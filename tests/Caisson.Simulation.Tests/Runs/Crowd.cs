using System.Globalization;
using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Schedules;
using Caisson.Simulation.Tests.Machine;
using Caisson.Simulation.Tests.Nodes;
using Caisson.Simulation.Tests.Stores;
using Caisson.Simulation.Tests.Workload;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Simulation.Tests.Runs;

/// <summary>People and programs outside: they start runs and meddle with them, through the same operations as the API.</summary>
internal sealed class Crowd
{
    private const int PatientRounds = 12;

    private static readonly IReadOnlyList<string> People = ["ann", "bob"];

    private readonly SimProcess _outside;
    private readonly Site _site;
    private readonly SimRandom _random;
    private readonly Core.Lifecycle.Runs _runs;
    private readonly RunOperations _operations;
    private readonly ScheduleBook _book;
    private int _started;
    private int _signals;

    internal Crowd(SimProcess outside, Site site)
    {
        (_outside, _site, _random) = (outside, site, site.Random.Fork());
        var ids = new SimIds(_random.Fork(), outside.Clock);
        var view = new StoreView(site.Hub, outside);
        var models = new SimModels(outside.Clock, _random.Fraction, outside);
        var newRuns = new NewRuns(site.Blobs, models, [], Node.Builds, outside.Clock, ids);
        var signals = new RunSignals(outside);
        _runs = new Core.Lifecycle.Runs(view, view, site.Blobs, models, newRuns, null!, signals, outside.Clock, ids);
        _operations = new RunOperations(view, view, view, site.Blobs, models, signals, outside.Clock, ids);
        var keeper = new ScheduleKeeper(view, view, newRuns, signals, outside.Clock, NullLogger.Instance, () => false, outside);
        _book = new ScheduleBook(view, view, view, newRuns, keeper, signals, outside.Clock, ids);
    }

    private MemoryState State => _site.Hub.Store.Snapshot();

    private IReadOnlyList<RunId> Live => [.. State.Runs.Values.Where(r => !r.Record.Status.IsFinal()).Select(r => r.Id)];

    internal async Task MeddleAsync()
    {
        if (_site.Weather.TenantCap)
            await TryAsync(() => _operations.SetTenantCapsAsync("default", new Dictionary<string, string> { ["usd"] = Workload.Money.Text(_random.Between(100, 600)) }, default));
        if (_site.Weather.Schedules)
            await ScheduleAsync();
        while (!_site.Weather.Calm)
        {
            await TryAsync(ActAsync);
            await _outside.DelayAsync(_random.Time(10, 2 * _site.Weather.OperationsMs));
        }
    }

    /// <summary>Does for every run what only people can do for it.</summary>
    /// <param name="round">After some, what still stands paused is given up: a limit of a parent that has ended is nobody's to raise.</param>
    internal async Task HelpAsync(int round)
    {
        await TryAsync(() => _operations.SetTenantCapsAsync("default", new Dictionary<string, string> { ["usd"] = "none" }, default));
        foreach (var run in Live)
        {
            await TryAsync(() => DecideAsync(run, yes: true));
            await TryAsync(() => DecideAsync(run, yes: true));
            foreach (var name in Programs.Names)
                await TryAsync(() => SignalAsync(run, name));
            if (State.Find(run)!.Record.Status == RunStatus.Paused)
                await TryAsync(() => round < PatientRounds ? LetGoOnAsync(run, generous: true) : _runs.CancelAsync(run, "bob", "given up", default));
        }
    }

    internal async Task EndSchedulesAsync()
    {
        foreach (var name in State.Schedules.Keys)
        {
            while (State.Schedules.ContainsKey(name))
                await TryAsync(() => _book.RemoveAsync(name, default));
        }
    }

    private async Task ActAsync()
    {
        if (_started < _site.Weather.Roots && _random.Chance(500))
        {
            await CreateAsync();
            return;
        }

        if (Live is not { Count: > 0 } live)
            return;
        var run = _random.Pick(live);
        switch (_random.Below(40))
        {
            case 0:
                await _runs.CancelAsync(run, "ann", "enough", default);
                break;
            case <= 3:
                await _runs.PauseAsync(run, "ann", null, default);
                break;
            case <= 12:
                await LetGoOnAsync(run, generous: _random.Chance(300));
                break;
            case <= 15:
                await _operations.SetRunCapsAsync(run, new Dictionary<string, string> { ["usd"] = Workload.Money.Text(_random.Between(10, 400)) }, "ann", default);
                break;
            case <= 17 when _site.Weather.TenantCap:
                await _operations.SetTenantCapsAsync("default", new Dictionary<string, string> { ["usd"] = Workload.Money.Text(_random.Between(100, 3_000)) }, default);
                break;
            case <= 27:
                await DecideAsync(run, _random.Chance(800));
                break;
            default:
                await SignalAsync(run, _random.Pick(Programs.Names));
                break;
        }
    }

    /// <summary>Who gets no answer asks again, with the same key.</summary>
    private async Task CreateAsync()
    {
        var key = $"root {_started++}";
        var policy = _random.Pick(["pause", "pause", "stop", "ask"]);
        var manifest = $"""
            name: program
            code: program
            limits:
              usd: {Workload.Money.Text(_random.Pick([30, 120, 600, 100_000]))}
              steps: {_random.Pick([3, 30, 1000])}
              on_limit: {policy}
            retry:
              attempts: {_random.Between(2, 6)}
            """;
        var command = new CreateRun(manifest, "program.yaml", Programs.Input(_random.Next(), 0), new RunOverrides(), new Dictionary<string, string>(), key);
        while (await AskAsync(() => _runs.CreateAsync(command, default)!) is not CreateRunOutcome.Accepted)
            await _outside.DelayAsync(_random.Time(10, 500));
    }

    private async Task ScheduleAsync()
    {
        var spec = new ScheduleSpec("name: program\ncode: program\n", "program.yaml", Programs.Input(_random.Next(), 1), Every: $"{_random.Between(4, 20)}s",
            Overlap: _random.Pick(["allow", "skip", "queue", "cancel_old"]), CatchUp: "1h");
        while (await AskAsync(() => _book.PutAsync("clockwork", spec, default)!) is not ScheduleOutcome.Done)
            await _outside.DelayAsync(_random.Time(10, 500));
    }

    /// <summary>A signal has the sender's id: sent again it is a duplicate.</summary>
    private async Task SignalAsync(RunId run, string name)
    {
        var id = string.Create(CultureInfo.InvariantCulture, $"signal {_signals++}");
        for (var tries = 0; tries < 3; tries++)
        {
            if (await AskAsync(() => _operations.SignalAsync(run, name, Encoding.UTF8.GetBytes($"\"{id}\""), id, "ann", default)!) is not null)
                return;
        }
    }

    private async Task DecideAsync(RunId run, bool yes)
    {
        foreach (var person in People)
        {
            if (await _operations.ApprovalsAsync(run, default) is { Items: [var open, ..] })
                await _operations.DecideAsync(run, new DecisionRequest(yes, open.Key, person), default);
        }
    }

    private async Task LetGoOnAsync(RunId run, bool generous)
    {
        var record = State.Find(run)!.Record;
        if (record is { Status: RunStatus.Paused, Paused: PauseCause.Unknown })
        {
            if (await _operations.UnknownsAsync(run, default) is not { Items: [var open, ..] })
            {
                await _operations.RetryAsync(run, "bob", default);
                return;
            }

            var step = open.Step;
            var how = _site.World.Look(run, step) ? _random.Pick(["done", "skip"]) : "not_done";
            await _operations.ResolveAsync(run, new ResolveRequest(step, how, how == "done" ? System.Text.Json.JsonDocument.Parse("\"by hand\"").RootElement : null, "bob"), default);
            return;
        }

        await _runs.ResumeAsync(run, "bob", generous ? new RunOverrides(Usd: "1", Steps: 100_000) : new RunOverrides(), default);
    }

    private static Task<object?> TryAsync(Func<Task> act) => AskAsync<object>(async () =>
    {
        await act();
        return act;
    });

    /// <returns><c>null</c> where the answer was lost: whoever wants it comes again.</returns>
    private static async Task<T?> AskAsync<T>(Func<Task<T?>> act) where T : class
    {
        try
        {
            return await act();
        }
        catch (CaissonException lost) when (lost.Code == ErrorCodes.StorageFailed)
        {
            return null;
        }
    }
}
