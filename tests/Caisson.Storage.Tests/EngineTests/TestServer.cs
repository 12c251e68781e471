using System.Collections.Concurrent;
using System.Text;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Operations;
using Caisson.Core.Processes;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Sqlite;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>A real engine on a real store in a folder, with agents in code. One process's worth: make another on the same folder for the next.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly RunSignals _signals = new();
    private bool _stopped;

    internal TestServer(string folder, TimeProvider? clock = null, IModels? models = null, Random? random = null, EngineOptions? options = null, bool signals = true, AgentBuilds? builds = null, Func<IBlobStore, IBlobStore>? blobs = null, IReadOnlyList<ISandboxProvider>? sandboxes = null, IBoxEgress? egress = null, IProcessGateway? processes = null)
    {
        builds ??= Builds;
        clock ??= TimeProvider.System;
        models ??= new NoModels();
        var ids = new SystemIds(clock);
        Store = SqliteStoreHost.Open(folder, clock);
        Files = new FileBlobStore(Path.Combine(folder, "blobs"), Store.TenantKey.Span);
        var content = blobs?.Invoke(Files) ?? Files;
        var workspaces = new WorkspaceStore(content);
        Kills = new KillSwitches(Store, clock);
        var newRuns = new NewRuns(content, models, sandboxes ?? [], builds, clock, ids, Kills, egress: egress, servesProcesses: processes is not null);
        Engine = new Engine(options ?? new EngineOptions(), new EngineParts
        {
            Store = Store,
            Reader = Store,
            Kills = Kills,
            Nodes = Store,
            Budgets = Store,
            Blobs = content,
            Models = models,
            Sandboxes = sandboxes ?? [],
            Unconfirmed = Store,
            Egress = egress,
            Processes = processes,
            Events = Store,
            Workspaces = workspaces,
            CodeAgents = Agents,
            Builds = builds,
            NewRuns = newRuns,
            Signals = _signals,
            Clock = clock,
            Ids = ids,
            Random = random ?? new NoWait(),
            Logs = NullLoggerFactory.Instance,
        });
        Runs = new Runs(Store, Store, content, models, newRuns, workspaces, signals ? _signals : new RunSignals(), clock, ids);
        Operations = new RunOperations(Store, Store, Store, content, models, _signals, clock, ids, Kills);
    }

    internal SqliteStore Store { get; }

    internal FileBlobStore Files { get; }

    internal Engine Engine { get; }

    internal Runs Runs { get; }

    internal RunOperations Operations { get; }

    internal KillSwitches Kills { get; }

    /// <summary>Makes the engine look for due runs now: a clock that a test moves may have passed its sweep's timer.</summary>
    /// <summary>What people are shown of it.</summary>
    internal string? CurrentStep(RunId run) => _signals.CurrentStep(run);

    internal void Sweep(RunId run) => _signals.Due(run);

    private Dictionary<string, IAgent> Agents { get; } = [];

    /// <summary>Names that runs may be created for, each with its build.</summary>
    internal static AgentBuilds Builds { get; } = new(new Dictionary<string, string> { ["test"] = "1", ["worker"] = "1", ["child"] = "1" });

    /// <summary>The present ownership of each run whose agent was called: lets a test wait until an input was taken over.</summary>
    internal ConcurrentDictionary<RunId, RunSession> Sessions { get; } = new();

    internal void Register(string name, Func<IRunContext, Task<string>> body) => Agents[name] = new CodeAgent(context =>
    {
        Sessions[context.Run] = ((RunContext)context).Session;
        return body(context);
    });

    /// <summary>Tells the engine that an input waits, as an operation does after its post.</summary>
    internal void Wake(RunId run) => _signals.Due(run);

    internal Task StartAsync() => Engine.StartAsync(default);

    internal async Task<RunId> CreateAsync(string manifest, string input = "", RunOverrides? limits = null) =>
        await Runs.CreateAsync(new CreateRun(manifest, "test.yaml", input, limits ?? new RunOverrides(), new Dictionary<string, string>(), null), default) switch
        {
            CreateRunOutcome.Accepted accepted => accepted.Run,
            CreateRunOutcome.Refused refused => throw new Xunit.Sdk.XunitException(refused.Failure.Message),
            _ => throw new InvalidOperationException(),
        };

    internal Task<RunRecord> UntilAsync(RunId run, RunStatus status) => UntilAsync(run, r => r.Status == status, $"is {status}");

    /// <summary>Waits for a state that the store shows. Whatever else happens, the failure tells where the run stands.</summary>
    internal async Task<RunRecord> UntilAsync(RunId run, Func<RunRecord, bool> reached, string what)
    {
        using var deadline = new CancellationTokenSource(Patience, TimeProvider.System);
        while (true)
        {
            var changed = _signals.WhenChanged(run);
            var record = await Store.FindAsync(run, default);
            if (record is not null && reached(record))
                return record;
            if (Engine.Stopped.IsFaulted)
                throw new Xunit.Sdk.XunitException($"the engine died: {Engine.Stopped.Exception!.InnerException}\n{await DescribeAsync(run)}");
            try
            {
                await Task.WhenAny(changed, Engine.Stopped).WaitAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                throw new Xunit.Sdk.XunitException($"in {Patience} run {run} never came to where it {what}\n{await DescribeAsync(run)}");
            }
        }
    }

    internal async Task<IReadOnlyList<JournalEntry>> JournalAsync(RunId run)
    {
        var entries = new List<JournalEntry>();
        while (await Runs.JournalAsync(run, entries.Count, 500, default) is { Count: > 0 } page)
            entries.AddRange(page);
        return entries;
    }

    internal async Task<IReadOnlyList<EntryKind>> KindsAsync(RunId run) => [.. (await JournalAsync(run)).Select(e => e.Kind)];

    internal async Task<string> DescribeAsync(RunId run)
    {
        var text = new StringBuilder().AppendLine($"{await Store.FindAsync(run, default)}");
        foreach (var input in await Store.ReadInboxAsync(run, 20, default))
            text.AppendLine($"inbox {input.Id} {input.Kind}");
        foreach (var entry in (await JournalAsync(run)).TakeLast(30))
            text.AppendLine($"{entry.Seq} epoch {entry.Epoch} {entry.Kind} {Encoding.UTF8.GetString(entry.Body.Span)}");
        return text.ToString();
    }

    /// <summary>Ends at once, without letting any run finish its step.</summary>
    internal Task StopHardAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        if (_stopped)
            return;
        _stopped = true;
        await Engine.DisposeAsync();
        await Store.DisposeAsync();
    }

    /// <summary>An agent from a lambda.</summary>
    private sealed class CodeAgent(Func<IRunContext, Task<string>> body) : IAgent
    {
        public Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken) => body(context);
    }

    private sealed class NoModels : IModels
    {
        public Failure? Check(string model, bool moneyIsCapped) => new(ErrorCodes.ModelUnknown, $"no model {model}");

        public long DearestOf(string model, long tokens) => 0;

        public Task<ModelOutcome> CallAsync(ModelRequest request, IStepLog log, CancellationToken cancellationToken) => throw new InvalidOperationException("no models here");
    }
}

/// <summary>Jitter that always comes out as no wait at all.</summary>
internal sealed class NoWait() : Random(0)
{
    public override double NextDouble() => 0;
}

/// <summary>A place in a step where the test holds it.</summary>
internal sealed class Gate
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal Task Reached => _reached.Task.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System);

    internal void Open() => _open.TrySetResult();

    internal async Task PassAsync(CancellationToken cancellationToken = default)
    {
        _reached.TrySetResult();
        await _open.Task.WaitAsync(cancellationToken);
    }
}
