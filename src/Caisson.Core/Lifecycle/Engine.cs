using System.Collections.Concurrent;
using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core.Leases;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Finds the runs that need an owner and drives them.
/// <para>
/// Problem: every live run must be driven by exactly one process, also after any of them died, and no hint may be
/// needed for it. One loop claims what is due, woken by signals and, without any, by a sweep every half second; the
/// store decides each claim. Twice a second it also compares what the store says this node owns with what it drives, so
/// that a run whose driver was lost is adopted again. It claims in small batches (<see cref="ClaimPace"/>), and between
/// two of them it tells drivers of their inputs: a crowd that comes does not make those wait that are here. When this
/// process dies its runs stay in the store with a dead owner, and the first sweep of the next process claims them.
/// </para>
/// </summary>
public sealed class Engine : IAsyncDisposable
{
    private const int SuspectPage = 10_000;
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMilliseconds(500);

    private readonly EngineOptions _options;
    private readonly INodeStore _nodes;
    private readonly RunServices _services;
    private readonly Random _random;
    private readonly EngineTasks _tasks;
    private readonly ClaimPace _pace;
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
    private long? _comparedAt;
    private int _roots;
    private bool _started;

    public Engine(EngineOptions options, EngineParts parts)
    {
        (_options, _nodes, _random, _log) = (options, parts.Nodes, parts.Random, parts.Logs.CreateLogger("Caisson.Engine"));
        _tasks = new EngineTasks(parts.Scheduler ?? TaskScheduler.Default);
        _pace = new ClaimPace(_tasks);
        _services = new RunServices(parts.Store, parts.Reader, parts.Blobs, parts.Signals, parts.Clock, parts.Ids)
        {
            Tasks = _tasks,
            Kills = parts.Kills,
            Egress = parts.Egress,
            Processes = parts.Processes,
            Events = parts.Events,
            Workspaces = parts.Workspaces,
            Admission = parts.Admission ?? OpenDoor.Instance,
            Models = parts.Models,
            Sandboxes = parts.Sandboxes,
            Reaping = new BoxReaping(parts.Sandboxes, parts.Unconfirmed, parts.Signals, _log),
            CodeAgents = parts.CodeAgents,
            Builds = parts.Builds,
            Spawner = new Spawner(parts.Clock, parts.NewRuns),
            Tree = new TreeLedger(parts.Budgets, parts.Reader),
            Lines = new Budgets.HoldLines(_tasks),
            Dice = Dice,
            Options = options,
        };
        _lease = new NodeLease(new NodeId(parts.Ids.NextRandom()), parts.Nodes, parts.Clock, parts.Logs.CreateLogger("Caisson.Lease")) { Fenced = Fence };
        _self = parts.Self;
        _ownThread = parts.Scheduler is null;
        parts.Signals.CapsSet = _services.Tree.RenewAsync;
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
        await _services.Reaping.FirstAsync(cancellationToken);
        _lease.Start(_ownThread);
        _loop = _tasks.Run(DispatchAsync);
        _reaping = _tasks.Run(() => _services.Reaping.RunAsync(_services.Clock, _stopClaiming.Token));
        _started = true;
    }

    /// <summary>Takes no new runs, lets each finish its step, and hands them back. What is not done at the limit is left to recovery.</summary>
    public async Task DrainAsync(TimeSpan limit)
    {
        _stopClaiming.End();
        _services.Signals.Look();
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

                // Before the claims: who was told of while they are looked for is seen in the next round.
                PokeDue();
                var more = _lease.State == LeaseState.Live && await ClaimSomeAsync(ct);
                if (_lease.State == LeaseState.Live && (_comparedAt is not { } at || _services.Clock.GetElapsedTime(at) >= SweepEvery))
                    await CompareAsync(ct);
                NudgeOnAdmission();
                if (!more)
                    await RestAsync();
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

    /// <summary>Until there is a signal, room for more claims, or the time of the next sweep.</summary>
    private async Task RestAsync()
    {
        using var pause = new CancellationTokenSource();
        await Task.WhenAny(_services.Signals.AnyDue, _pace.Freed, Task.Delay(SweepEvery, _services.Clock, pause.Token));
        pause.End();
    }

    /// <summary>One signal is enough to look for claims; the rest of a burst only tells drivers of their inputs.</summary>
    private void PokeDue()
    {
        foreach (var run in _services.Signals.TakeDue())
        {
            if (_drives.TryGetValue(run, out var drive))
                Poke(run, drive.Driver);
        }
    }

    /// <returns>Whether something was claimed: there may be more.</returns>
    private async Task<bool> ClaimSomeAsync(CancellationToken cancellationToken)
    {
        var free = _options.MaxConcurrentRuns - _drives.Count;
        var forRoots = Math.Min(free, ClaimOrder.PlacesForRoots(_options.MaxConcurrentRuns) - Volatile.Read(ref _roots));
        var pace = _pace.TakeRoom();
        var room = Math.Min(pace, forRoots > 0 ? forRoots : free);
        var refused = _services.Admission.Refusal is not null;
        IReadOnlyList<RunId> claimable = room <= 0 || refused ? []
            : forRoots > 0 ? await _services.Reader.FindClaimableAsync(_lease.Node, room, cancellationToken)
            : await _services.Reader.FindClaimableChildrenAsync(_lease.Node, room, cancellationToken);
        if (forRoots <= 0 && claimable.Count == 0 && (free <= 0 || pace > 0) && (await _services.Reader.FindClaimableAsync(_lease.Node, 1, cancellationToken)).Count > 0)
        {
            // A run that waits for its child must not keep the place that the child needs.
            foreach (var (driver, _) in _drives.Values)
                driver.LetGo();
        }

        if (claimable.Count == 0)
            return false;
        var suspects = await _services.Reader.ListSuspectsAsync(SuspectPage, cancellationToken);
        var fresh = Poison.Admit(claimable, suspects, _drives.ContainsKey);
        return (await Task.WhenAll(fresh.Take(room).Select(run => ClaimAsync(run, cancellationToken)))).Any(claimed => claimed);
    }

    /// <summary>What the store says this node owns, against what it drives.</summary>
    private async Task CompareAsync(CancellationToken cancellationToken)
    {
        _comparedAt = _services.Clock.GetTimestamp();
        await _services.Tree.SweepAsync(cancellationToken);
        foreach (var owned in await _services.Reader.ListOwnedAsync(_lease.Node, cancellationToken))
        {
            if (!_drives.TryGetValue(owned.Run, out var drive))
                await ClaimAsync(owned.Run, cancellationToken);
            else if (owned.HasInput)
                Poke(owned.Run, drive.Driver);
        }
    }

    private async Task<bool> ClaimAsync(RunId run, CancellationToken cancellationToken)
    {
        if (await _services.Store.ClaimAsync(run, _lease.Node, cancellationToken) is not ClaimOutcome.Claimed claimed)
            return false;
        _pace.Claimed();
        var driver = new RunDriver(_services, _lease, _pace.Opened, _log);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var drive = _tasks.Run(async () =>
        {
            await gate.Task;
            await DriveAsync(driver, claimed.Run);
        });

        // Listed before it starts, so that its end always finds the entry that it removes.
        _drives[run] = (driver, drive);
        if (claimed.Run.Depth == 0)
            Interlocked.Increment(ref _roots);
        gate.SetResult();
        return true;
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
            if (run.Depth == 0)
                Interlocked.Decrement(ref _roots);
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
        // Turns say it themselves: a refusal may be over before this loop has seen it.
        if (_services.Admission.Refusal is not null || _lease.State != LeaseState.Live || !_services.TakeHeldBack())
            return;
        foreach (var (driver, _) in _drives.Values)
            driver.Nudge();
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
        _services.Signals.CapsSet = null;
        _services.Tree.Dispose();
        _lease.Dispose();
        _stopClaiming.Dispose();
        _end.Dispose();
    }
}
