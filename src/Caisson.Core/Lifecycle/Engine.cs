using System.Collections.Concurrent;
using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core.Leases;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Finds the runs that need an owner and drives them.
/// <para>
/// Problem: every live run must be driven by exactly one process, also after any of them died, and no hint may be
/// needed for it. One loop claims what is due, woken by signals and, without any, by a sweep every half second; the
/// store decides each claim. The sweep also compares what the store says this node owns with what it drives, so that a
/// run whose driver was lost is adopted again. When this process dies its runs stay in the store with a dead owner,
/// and the first sweep of the next process claims them.
/// </para>
/// </summary>
public sealed class Engine : IAsyncDisposable
{
    private const int ClaimBatch = 100;
    private const int SuspectPage = 10_000;
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan ReapEvery = TimeSpan.FromSeconds(30);

    private readonly EngineOptions _options;
    private readonly INodeStore _nodes;
    private readonly RunServices _services;
    private readonly IReadOnlyList<ISandboxProvider> _sandboxes;
    private readonly Random _random;
    private readonly EngineTasks _tasks;
    private readonly ILogger _log;
    private readonly NodeLease _lease;
    private readonly ConcurrentDictionary<RunId, (RunDriver Driver, Task Drive)> _drives = new();
    private readonly CancellationTokenSource _stopClaiming = new();
    private readonly CancellationTokenSource _end = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _loop = Task.CompletedTask;
    private Task _reaping = Task.CompletedTask;
    private readonly NodeRegistration? _self;
    private readonly bool _ownThread;
    private bool _wasRefused;
    private bool _started;

    public Engine(EngineOptions options, EngineParts parts)
    {
        (_options, _nodes, _sandboxes, _random) = (options, parts.Nodes, parts.Sandboxes, parts.Random);
        _tasks = new EngineTasks(parts.Scheduler ?? TaskScheduler.Default);
        _services = new RunServices(parts.Store, parts.Reader, parts.Blobs, parts.Signals, parts.Clock, parts.Ids)
        {
            Tasks = _tasks,
            Kills = parts.Kills,
            Admission = parts.Admission ?? OpenDoor.Instance,
            Models = parts.Models,
            Sandboxes = parts.Sandboxes,
            CodeAgents = parts.CodeAgents,
            Builds = parts.Builds,
            Spawner = new Spawner(parts.Clock, parts.NewRuns),
            Tree = new TreeLedger(parts.Budgets, parts.Reader),
            Dice = Dice,
            Options = options,
        };
        _log = parts.Logs.CreateLogger("Caisson.Engine");
        _lease = new NodeLease(new NodeId(parts.Ids.NextRandom()), parts.Nodes, parts.Clock, parts.Logs.CreateLogger("Caisson.Lease")) { Fenced = Fence };
        _self = parts.Self;
        _ownThread = parts.Scheduler is null;
        if (parts.Kills is { } kills)
            kills.Changed = StopKilled;
    }

    /// <summary>Completes when the engine may act no more; with a <see cref="CaissonException"/> when the process must exit and be restarted.</summary>
    public Task Stopped => _stopped.Task;

    public int Running => _drives.Count;

    public bool Draining => _stopClaiming.IsCancellationRequested;

    /// <summary>Whether new work is taken: the lease holds and nobody asked to drain.</summary>
    public bool Ready => NotReady is null;

    /// <summary>Why no new work is taken, for people; <c>null</c> when it is.</summary>
    public string? NotReady => !_started ? "the server is starting" : Draining ? "the server is stopping"
        : _lease.State != LeaseState.Live ? "the server has lost touch with its store" : _services.Admission.Refusal;

    /// <summary>Registers the node, clears what earlier processes left behind, and begins to claim.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_services.Kills is { } kills)
            await kills.LookAsync(now: true, cancellationToken);
        await _nodes.RegisterAsync(Registration(), cancellationToken);
        foreach (var provider in _sandboxes)
            await ReapAsync(provider, cancellationToken);
        _lease.Start(_ownThread);
        _loop = _tasks.Run(DispatchAsync);
        _reaping = _tasks.Run(ReapForeverAsync);
        _started = true;
    }

    /// <summary>Takes no new runs, lets each finish its step, and hands them back. What is not done at the limit is left to recovery.</summary>
    public async Task DrainAsync(TimeSpan limit)
    {
        _stopClaiming.End();
        await _loop;
        await _reaping;

        // Steps may take their time to finish, and until then this node owns their runs: the lease must not lapse.
        using var alive = _services.Clock.CreateTimer(_ => _lease.DispatcherAlive(), null, TimeSpan.Zero, SweepEvery);
        var drives = _drives.Values.ToList();
        foreach (var (driver, _) in drives)
            _ = driver.DrainAsync();
        await Task.WhenAny(Task.WhenAll(drives.Select(d => d.Drive)), Task.Delay(limit, _services.Clock, CancellationToken.None));
        await _tasks.CancelAsync(_end);
        await Task.WhenAll(_drives.Values.Select(d => d.Drive));
        if (_started && _lease.State != LeaseState.Fenced)
            await _nodes.RetireAsync(_lease.Node, CancellationToken.None);
        _stopped.TrySetResult();
    }

    private async Task DispatchAsync()
    {
        var due = _services.Signals.DueRuns;
        var ct = _stopClaiming.Token;
        try
        {
            while (!ct.IsCancellationRequested)
            {
                _lease.DispatcherAlive();
                if (_services.Kills is { } kills)
                {
                    // An order that this process has seen may not have reached a run that was only just claimed.
                    await kills.LookAsync(now: false, ct);
                    StopKilled();
                }

                if (_lease.State == LeaseState.Live)
                    await SweepAsync(ct);
                NudgeOnAdmission();

                // One signal is enough to sweep again; the rest of the burst is swallowed, since the sweep sees it all.
                using var pause = CancellationTokenSource.CreateLinkedTokenSource(ct);
                var signal = due.WaitToReadAsync(pause.Token).AsTask();
                await Task.WhenAny(signal, Task.Delay(SweepEvery, _services.Clock, pause.Token));
                pause.End();
                while (due.TryRead(out var run))
                {
                    if (_drives.TryGetValue(run, out var drive))
                        Poke(run, drive.Driver);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Draining.
        }
        catch (Exception problem)
        {
            Die(problem);
        }
    }

    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        while (_drives.Count < _options.MaxConcurrentRuns)
        {
            var limit = Math.Min(ClaimBatch, _options.MaxConcurrentRuns - _drives.Count);
            if (_services.Admission.Refusal is not null)
                break;
            var claimable = await _services.Reader.FindClaimableAsync(_lease.Node, limit, cancellationToken);
            var suspects = await _services.Reader.ListSuspectsAsync(SuspectPage, cancellationToken);
            var fresh = Poison.Admit([.. claimable.Where(run => !_drives.ContainsKey(run))], suspects, [.. _drives.Keys]);
            if (fresh.Count == 0)
                break;
            await Task.WhenAll(fresh.Select(run => ClaimAsync(run, cancellationToken)));
            _lease.DispatcherAlive();
        }

        if (_drives.Count >= _options.MaxConcurrentRuns && (await _services.Reader.FindClaimableAsync(_lease.Node, 1, cancellationToken)).Count > 0)
        {
            // A run that waits for its child must not keep the place that the child needs.
            foreach (var (driver, _) in _drives.Values)
                driver.LetGo();
        }

        foreach (var owned in await _services.Reader.ListOwnedAsync(_lease.Node, cancellationToken))
        {
            if (!_drives.TryGetValue(owned.Run, out var drive))
                await ClaimAsync(owned.Run, cancellationToken);
            else if (owned.HasInput)
                Poke(owned.Run, drive.Driver);
        }
    }

    private async Task ClaimAsync(RunId run, CancellationToken cancellationToken)
    {
        if (await _services.Store.ClaimAsync(run, _lease.Node, cancellationToken) is not ClaimOutcome.Claimed claimed)
            return;
        var driver = new RunDriver(_services, _lease, _log);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var drive = _tasks.Run(async () =>
        {
            await gate.Task;
            await DriveAsync(driver, claimed.Run);
        });

        // Listed before it starts, so that its end always finds the entry that it removes.
        _drives[run] = (driver, drive);
        gate.SetResult();
    }

    private async Task DriveAsync(RunDriver driver, RunRecord run)
    {
        try
        {
            await driver.DriveAsync(run, _end.Token);
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
            // This process ends; the next one goes on.
        }
        catch (Exception problem)
        {
            Die(problem);
        }
        finally
        {
            _drives.TryRemove(run.Id, out _);
            _services.Signals.Changed(run.Id);

            // An input may have come between the last look and the release.
            _services.Signals.Due(run.Id);
        }
    }

    // A Random of the caller's own is not safe for many threads at once.
    private double Dice()
    {
        lock (_random)
            return _random.NextDouble();
    }

    /// <summary>Turns that waited to begin something look again when the server admits work again.</summary>
    private void NudgeOnAdmission()
    {
        var refused = _services.Admission.Refusal is not null || _lease.State != LeaseState.Live;
        if (_wasRefused && !refused)
        {
            foreach (var (driver, _) in _drives.Values)
                driver.Nudge();
        }

        _wasRefused = refused;
    }

    /// <summary>Runs that an order names stop now: what they have bought they get, their boxes go.</summary>
    private void StopKilled()
    {
        if (_services.Kills is not { Current.IsOff: false })
            return;
        foreach (var (run, (driver, _)) in _drives)
            Tell(run, driver.KillAsync);
    }

    private void Poke(RunId run, RunDriver driver) => Tell(run, driver.PokeAsync);

    private void Tell(RunId run, Func<Task> tell) => _ = _tasks.Run(async () =>
    {
        try
        {
            await tell();
        }
        catch (Exception problem) when (problem is OperationCanceledException or ObjectDisposedException)
        {
            _log.LogDebug("run {Run} was released before its input was read; it is claimed again for it", run);
        }
        catch (Exception problem)
        {
            Die(problem);
        }
    });

    private async Task ReapForeverAsync()
    {
        using var timer = new PeriodicTimer(ReapEvery, _services.Clock);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopClaiming.Token))
            {
                foreach (var provider in _sandboxes)
                    await TryReapAsync(provider);
            }
        }
        catch (OperationCanceledException) when (_stopClaiming.IsCancellationRequested)
        {
            // Draining.
        }
    }

    private async Task TryReapAsync(ISandboxProvider provider)
    {
        try
        {
            await ReapAsync(provider, _stopClaiming.Token);
        }
        catch (Exception problem) when (problem is CaissonException or IOException or UnauthorizedAccessException)
        {
            // What was looked at may have gone meanwhile: the next round looks again.
            _log.LogWarning("{Provider}: looking for residue failed: {Problem}", provider.Name, problem.Message);
        }
    }

    private async Task ReapAsync(ISandboxProvider provider, CancellationToken cancellationToken)
    {
        var residue = await provider.ListResidueAsync(cancellationToken);
        if (residue.Count == 0)
            return;
        var left = await provider.ReapAsync(residue, cancellationToken);
        _log.LogInformation("{Provider}: {Count} things of earlier boxes found, {Left} could not be removed", provider.Name, residue.Count, left.Count);
    }

    private void Fence(Failure failure)
    {
        _log.LogCritical("fenced: {Problem}", failure.Message);
        _stopClaiming.Cancel();
        _end.Cancel();
        _stopped.TrySetException(new CaissonException(failure.Code, failure.Message));
    }

    /// <summary>Something happened after which memory cannot be trusted: only a new process can, from the journal.</summary>
    private void Die(Exception problem)
    {
        _log.LogCritical(problem, "the engine stops");
        _stopClaiming.Cancel();
        _end.Cancel();
        _stopped.TrySetException(problem as CaissonException ?? new CaissonException(ErrorCodes.Internal, $"{problem.GetType().Name}: {problem.Message}", inner: problem));
    }

    private NodeRegistration Registration()
    {
        if (_self is { } given)
            return given with { Id = _lease.Node };
        using var self = Process.GetCurrentProcess();
        var boot = File.Exists("/proc/sys/kernel/random/boot_id") ? File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim() : "";
        return new NodeRegistration(_lease.Node, Environment.MachineName, boot, Environment.ProcessId, self.StartTime.ToUniversalTime().Ticks);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stopped.Task.IsCompleted)
            await DrainAsync(TimeSpan.Zero);
        _lease.Dispose();
        _stopClaiming.Dispose();
        _end.Dispose();
    }
}
