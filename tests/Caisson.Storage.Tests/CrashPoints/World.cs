using System.Collections.Concurrent;
using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Egress;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Stores;
using Caisson.Core.Verification;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Tests.EngineTests;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.CrashPoints;

/// <summary>One store, one run on it, what its steps did to the world, and one process after the other.</summary>
internal sealed class World
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly AgentBuilds Builds = new(new Dictionary<string, string> { ["test"] = "1", ["child"] = "1" });

    private readonly Sample _sample;
    private readonly TimeProvider _clock;
    private readonly MemoryStore _store;
    private readonly MemoryBlobs _blobs = new();
    private readonly SystemIds _ids;
    private readonly ScriptedModel? _model;
    private readonly ConcurrentDictionary<string, int> _effects = new(StringComparer.Ordinal);
    private RunId _run;

    internal World(Sample sample, TimeProvider? clock = null)
    {
        _sample = sample;
        _clock = clock ?? TimeProvider.System;
        _store = new MemoryStore(_clock);
        _ids = new SystemIds(_clock);
        _model = sample.Models?.Invoke();
        _ = _blobs.PutAsync(sample.Blobs, default);
    }

    /// <summary>Calls that the model got.</summary>
    internal int ModelCalls => _model?.Sent ?? 0;

    internal MemoryBlobs Blobs => _blobs;

    internal RunId Run => _run;

    internal MemoryState State => _store.Snapshot();

    /// <summary>Begins with what an earlier process left in its store.</summary>
    internal void Load(MemoryState state)
    {
        _store.Restore(state);
        _run = state.Runs.Values.First().Id;
    }

    /// <summary>How often each effect happened.</summary>
    internal IReadOnlyDictionary<string, int> Effects => _effects;

    internal async Task CreateAsync()
    {
        var runs = new Runs(_store, _store, _blobs, Models, NewRuns(), null!, new RunSignals(), _clock, _ids);
        var outcome = await runs.CreateAsync(new CreateRun(_sample.Manifest, "test.yaml", "in", new RunOverrides(), new Dictionary<string, string>(), null), default);
        _run = Assert.IsType<CreateRunOutcome.Accepted>(outcome).Run;
    }

    /// <summary>Runs one process until the run has ended, or the process has died at its write number <paramref name="point"/>.</summary>
    /// <returns>How many writes it made.</returns>
    internal async Task<(int Writes, bool Died)> LiveAsync(int point, Death death)
    {
        var signals = new RunSignals();
        var store = new DyingStore(_store, point, death);
        var egress = new FakeEgress();
        await using var engine = new Engine(new EngineOptions(), new EngineParts
        {
            Store = store,
            Reader = store,
            Nodes = store,
            Budgets = _store,
            Blobs = _blobs,
            Models = _sample.IsBusy ? new BusyModel { Calls = 2, Reserves = false, Act = effect => Of(store)(effect) } : Models,
            Sandboxes = _sample.Sends ? [Boxes(egress, Of(store))] : [],
            Egress = egress,
            Workspaces = new WorkspaceStore(_blobs),
            CodeAgents = new Dictionary<string, IAgent> { ["test"] = new Agent(_sample.Agent, Of(store), _effects), ["child"] = new Agent(_sample.Child, Of(store), _effects) },
            Builds = Builds,
            NewRuns = NewRuns(),
            Signals = signals,
            Clock = _clock,
            Ids = _ids,
            Random = new NoWait(),
            Logs = NullLoggerFactory.Instance,
        });
        await engine.StartAsync(default);
        using var deadline = new CancellationTokenSource(Patience, TimeProvider.System);
        while (!store.Dead)
        {
            var changed = signals.WhenChanged(_run);
            if ((await _store.FindAsync(_run, default))!.Status.IsFinal() && (await _store.ListAsync(new RunFilter(null, null, null, 100), default)).All(r => r.Status.IsFinal()))
                return (store.Writes, false);
            await SpeakAsync(signals);
            if (engine.Stopped.IsFaulted)
                break;
            try
            {
                await Task.WhenAny(changed, engine.Stopped, Task.Delay(TimeSpan.FromMilliseconds(50), _clock)).WaitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                throw new Xunit.Sdk.XunitException($"it never ended\n{await DescribeAsync()}");
            }
        }

        if (!store.Dead)
            await engine.Stopped;
        await Task.WhenAny(engine.Stopped, Task.Delay(Patience, _clock));
        return (store.Writes, true);
    }

    /// <summary>What people and programs outside say, each thing under an id of its own: said again it is a duplicate.</summary>
    private async Task SpeakAsync(RunSignals signals)
    {
        foreach (var entry in await _store.ReadJournalAsync(_run, 0, 1_000, default))
        {
            if (entry.Kind != EntryKind.ApprovalRequested)
                continue;
            foreach (var who in _sample.Approvers)
                await PostAsync($"{who}:{entry.Key}", InputKind.Approval, JournalJson.Write(new InputBody.Approval(entry.Key!, _sample.Approves, who, null)), signals);
        }

        if (_sample.Raises is { } raise && await _store.FindAsync(_run, default) is { Status: RunStatus.Paused } paused)
            await PostAsync($"resume:{paused.LastSeq}", InputKind.Resume, JournalJson.Write(new InputBody.Operator("me", null, raise)), signals);
        foreach (var name in _sample.Signals)
            await PostAsync($"signal:{name}", InputKind.Signal, JournalJson.Write(new InputBody.Signal(name.Split('#')[0], $"\"{name}\"", "me")), signals);
    }

    private async Task PostAsync(string id, InputKind kind, byte[] payload, RunSignals signals)
    {
        if (await _store.PostAsync(new NewInput(_run, id, kind, payload), default) is PostOutcome.Posted)
            signals.Due(_run);
    }

    /// <summary>What must come out alike, whatever died on the way.</summary>
    internal async Task<string> OutcomeAsync()
    {
        var text = new StringBuilder();
        foreach (var run in (await _store.ListAsync(new RunFilter(null, null, null, 100), default)).OrderBy(r => r.Depth).ThenBy(r => r.Agent, StringComparer.Ordinal))
        {
            var journal = await _store.ReadJournalAsync(run.Id, 0, 1_000, default);

            // A step whose outcome a check found out is no completion of its own, and no step that the run counts.
            var resolved = journal.Count(e => e.Kind == EntryKind.StepResolved && !JournalJson.Read<EntryBody.StepResolved>(e.Body).How.Equals(StepResolutions.NotDone, StringComparison.Ordinal));
            text.Append($"{run.Agent}: {run.Status} {run.Summary.Result} {run.Summary.Failure?.Code} steps {run.Summary.Steps + resolved} tools {run.Summary.ToolCalls} files {run.Summary.WorkspaceRoot}");
            foreach (var kind in Once)
                text.Append($" {kind} {journal.Count(e => e.Kind == kind)}");
            foreach (var row in await _store.ReadBudgetAsync(BudgetNodes.Of(run.Id), default))
                text.Append($" {row.Dimension} {row.State.Spent}/{row.State.Held}/{row.State.InDoubt}");
            text.Append($" inbox {(await _store.ReadInboxAsync(run.Id, 10, default)).Count(i => i.Kind != InputKind.Cancel)} waste {(await _store.ReadWasteAsync(run.Id, 10, default)).Count};");
        }

        return text.ToString();
    }

    private static readonly EntryKind[] Once =
        [EntryKind.SignalConsumed, EntryKind.ChildSpawned, EntryKind.ChildEnded, EntryKind.ApprovalRequested, EntryKind.ApprovalDecided, EntryKind.Snapshot, EntryKind.LimitHit, EntryKind.WorkspaceKept, EntryKind.RunEnded];

    internal async Task<string> FindingsAsync()
    {
        var found = new List<string>();
        foreach (var run in await _store.ListAsync(new RunFilter(null, null, null, 100), default))
            found.AddRange((await new RunVerification(_store, _blobs).VerifyAsync(run.Id, default))!.Findings.Select(f => $"{run.Agent} {f.Seq} {f.Code} {f.Text}"));
        return string.Join("; ", found);
    }

    internal async Task<string> DescribeAsync()
    {
        var text = new StringBuilder();
        foreach (var run in await _store.ListAsync(new RunFilter(null, null, null, 100), default))
        {
            text.AppendLine($"{run.Agent} {run.Status} {run.Waiting} {run.Paused} owner {run.Owner} due {run.DueAt:O} {run.Summary.Detail}");
            foreach (var entry in await _store.ReadJournalAsync(run.Id, 0, 1_000, default))
                text.AppendLine($"  {entry.Seq} epoch {entry.Epoch} {entry.Kind} {entry.Key?[..8]} {Encoding.UTF8.GetString(entry.Body.Span)}");
        }

        return text.ToString();
    }

    private Act Of(DyingStore process) => effect => process.ActAsync(() => _effects.AddOrUpdate(effect, 1, (_, n) => n + 1));

    private IModels Models => _model ?? (_sample.IsBusy ? new BusyModel() : (IModels)NoModels.Instance);

    private NewRuns NewRuns() => new(_blobs, Models, _sample.Sends ? [Boxes(new FakeEgress(), _ => Task.CompletedTask)] : [], Builds, _clock, _ids, egress: new FakeEgress());

    /// <summary>A command asks for leave, and sends.</summary>
    private static RecordingBoxes Boxes(FakeEgress egress, Act act)
    {
        var gate = new Gate();
        gate.Open();
        return new RecordingBoxes(gate)
        {
            Does = async command =>
            {
                if (await egress.Log.IntentAsync(new EgressIntent(EgressKind.Request, "api.test.example", 443, "POST", "/" + command), default))
                    await act("once " + command);
                return null;
            },
        };
    }

    private sealed class NoModels : IModels
    {
        internal static readonly NoModels Instance = new();

        public Failure? Check(string model, bool moneyIsCapped) => new(ErrorCodes.ModelUnknown, $"no model {model}");

        public long DearestOf(string model, long tokens) => 0;

        public Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken) => throw new InvalidOperationException("no models here");
    }

    private sealed class Agent(Script body, Act act, IReadOnlyDictionary<string, int> effects) : IAgent
    {
        public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken) => body(context, act, effects);
    }
}

/// <summary>Something that a step does to the world, under a name.</summary>
internal delegate Task Act(string effect);

/// <summary>An agent's code.</summary>
/// <param name="effects">What has happened so far: a check may look.</param>
internal delegate Task<string> Script(IRunContext context, Act act, IReadOnlyDictionary<string, int> effects);
