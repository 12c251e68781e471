using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>A server that may not begin anything, with a run in the middle of a step: the step's end is recorded, the next one waits.</summary>
public sealed class AdmissionTests : IAsyncLifetime
{
    private static readonly AgentBuilds Builds = new(new Dictionary<string, string> { ["test"] = "1" });

    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly Faults _faults = new();
    private readonly Door _door = new();
    private readonly Gate _first = new();
    private readonly TaskCompletionSource _second = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<string> _waits = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly MemoryStore _store;
    private readonly Runs _runs;
    private readonly Engine _engine;

    public AdmissionTests()
    {
        _store = new MemoryStore(_clock, faults: _faults);
        var (blobs, signals, ids, models) = (new MemoryBlobs(), new RunSignals(), new SystemIds(_clock), new ScriptedModel(_ => null));
        var newRuns = new NewRuns(blobs, models, [], Builds, _clock, ids);
        _runs = new Runs(_store, _store, blobs, models, newRuns, null!, signals, _clock, ids);
        _engine = new Engine(new EngineOptions(), new EngineParts
        {
            Store = _store,
            Reader = _store,
            Nodes = _store,
            Budgets = _store,
            Blobs = blobs,
            Models = models,
            Sandboxes = [],
            CodeAgents = new Dictionary<string, IAgent> { ["test"] = new TwoSteps(_first, _second) },
            Builds = Builds,
            NewRuns = newRuns,
            Signals = signals,
            Clock = _clock,
            Ids = ids,
            Random = new NoWait(),
            Logs = new Listener(_waits),
            Admission = _door,

            // Given one, the lease is kept from the clock's timers, so that the test can let it lapse.
            Scheduler = TaskScheduler.Default,
        });
    }

    [Fact]
    public async Task In_doubt_about_its_lease_a_server_begins_no_step_and_goes_on_when_it_is_renewed()
    {
        var run = await StartAsync();

        _faults.StoreIsAway = true;
        _clock.Advance(TimeSpan.FromSeconds(5));
        Assert.False(_engine.Ready);
        _first.Open();

        Assert.Equal("the lease is in doubt", await NothingBeginsAsync());
        _faults.StoreIsAway = false;
        await EndsAsync(run);
    }

    [Fact]
    public async Task A_server_that_is_refused_work_begins_no_step_and_goes_on_when_it_is_admitted()
    {
        var run = await StartAsync();

        _door.Refusal = "the disk is nearly full";
        _first.Open();

        Assert.Equal("the disk is nearly full", await NothingBeginsAsync());
        _door.Refusal = null;
        await EndsAsync(run);
    }

    private async Task<RunId> StartAsync()
    {
        await _engine.StartAsync(default);
        var created = await _runs.CreateAsync(new CreateRun("name: test\ncode: test\n", "test.yaml", "", new RunOverrides(), new Dictionary<string, string>(), null), default);
        await _first.Reached;
        return Assert.IsType<CreateRunOutcome.Accepted>(created).Run;
    }

    /// <summary>Why the run waits, once it does.</summary>
    private async Task<string> NothingBeginsAsync()
    {
        var first = await Task.WhenAny(_waits.Task, _second.Task).WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System);
        Assert.True(first == _waits.Task, "the second step began");
        return await _waits.Task;
    }

    private async Task EndsAsync(RunId run)
    {
        for (var look = 0; look < 1_000; look++)
        {
            if (await _store.FindAsync(run, default) is { Status: RunStatus.Completed } done)
            {
                Assert.Equal(2, done.Summary.Steps);
                return;
            }

            _clock.Advance(TimeSpan.FromMilliseconds(500));
            // The step has begun, its end is still to be written: looks without a pause would be over before that.
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }

        Assert.Fail($"the run never ended: {await _store.FindAsync(run, default)}");
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private sealed class TwoSteps(Gate first, TaskCompletionSource second) : IAgent
    {
        public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
        {
            await context.StepAsync("first", async step =>
            {
                await first.PassAsync(step.Cancellation);
                return "";
            });
            await context.StepAsync("second", () =>
            {
                second.TrySetResult();
                return Task.FromResult("");
            });
            return "";
        }
    }

    private sealed class Faults : IStoreFaults
    {
        internal volatile bool StoreIsAway;

        public ValueTask BeforeAsync(string operation, RunId? run) =>
            StoreIsAway && operation == "renew" ? ValueTask.FromException(new CaissonException(ErrorCodes.StorageFailed, "the store is away", isTransient: true)) : default;

        public ValueTask AfterCommitAsync(string operation, RunId? run) => default;
    }

    private sealed class Door : IAdmission
    {
        public string? Refusal { get; set; }
    }

    /// <summary>Hears why a run waits.</summary>
    private sealed class Listener(TaskCompletionSource<string> waits) : ILoggerFactory, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (formatter(state, exception).Split(" waits: ") is [_, var reason])
                waits.TrySetResult(reason);
        }

        public void Dispose()
        {
        }
    }
}
