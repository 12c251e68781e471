using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Stores;
using Caisson.Core.Turns;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Drives one claimed run until it ends, halts, is unloaded, or is lost.
/// 1. Load the journal. 2. Take over the inbox. 3. Run a turn of the agent, which replays and then goes on. 4. Write
/// down how it came out. 5. Where the run may soon go on, stay for a while, with the box frozen, and begin another
/// turn. 6. Throw the box away and confirm it.
/// Whatever kills this process in between, the next owner starts at 1 and comes to the same place.
/// </summary>
/// <param name="opened">Called when the journal is loaded, or cannot be.</param>
internal sealed class RunDriver(RunServices services, NodeLease lease, Action opened, ILogger log)
{
    private static readonly TimeSpan CancelGrace = TimeSpan.FromSeconds(10);

    private readonly TaskCompletionSource<RunSession?> _session = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Wake _input = new(services.Tasks);
    private volatile bool _evicted;
    private RunBox? _box;

    /// <summary>An input arrived for this run: the owner takes it over at once, also in the middle of a step.</summary>
    internal async Task PokeAsync()
    {
        if (await _session.Task is not { } session)
            return;
        await session.Inbox.DrainAsync();
        session.Nudge();
        _input.Set();
    }

    /// <summary>Stops the run at once, if an order names it: its box goes first, which nothing in it can delay.</summary>
    internal async Task KillAsync()
    {
        if (await _session.Task is not { Killed: { } order } session)
            return;
        await session.KillAsync(order);
        if (_box is { } box)
            await box.CloseAsync();
        _evicted = true;
        _input.Set();
    }

    internal async Task DrainAsync()
    {
        if (await _session.Task is { } session)
            await session.RequestStopAsync(new StopRequest(StopKind.Drain, "server", null, null));
        _evicted = true;
        _input.Set();
    }

    /// <summary>Others need the room: a run that only waits is unloaded at once.</summary>
    internal void LetGo()
    {
        _evicted = true;
        if (_session.Task is { IsCompletedSuccessfully: true, Result: { } session })
        {
            session.LetGo = true;
            session.Nudge();
        }

        _input.Set();
    }

    /// <summary>Admission has changed.</summary>
    internal void Nudge()
    {
        if (_session.Task is { IsCompletedSuccessfully: true, Result: { } session })
            session.Nudge();
    }

    internal async Task DriveAsync(RunRecord claimed, CancellationToken processEnds)
    {
        // 1.
        using var session = await OpenAsync(claimed, processEnds);
        opened();
        if (session is null)
            return;
        await using var box = new RunBox(session, services.Sandboxes, services.Egress, log);
        _box = box;
        try
        {
            // 2.
            _session.TrySetResult(session);
            await session.Inbox.DrainAsync();
            if (session.History.CancelRequested && session.Stop is not { Kind: StopKind.Cancel })
                await session.RequestStopAsync(new StopRequest(StopKind.Cancel, "journal", null, null));
            using var deadline = new DeadlineWatch(session, services.Clock);
            while (true)
            {
                if (session.Killed is { } order)
                    await session.KillAsync(order);
                if ((session.State.Status != RunStatus.Paused || session.Stop is { Kind: StopKind.Cancel }) && await TurnAsync(session, box) is { } end)
                    await EndTurnAsync(session, box, end);
                if (session.State.IsFinal || session.IsReleased || !await StayAsync(session, box))
                    return;
                session.Restart(await LoadAsync(session.Run, session.Owned));
            }
        }
        catch (OperationCanceledException) when (session.Owned.IsCancellationRequested)
        {
            log.LogInformation("run {Run}: epoch {Epoch} is over, another owner goes on", session.Run, session.Epoch);
        }
    }

    /// <summary>A run whose journal cannot be read is paused with the reason, so that nobody claims it over and over.</summary>
    private async Task<RunSession?> OpenAsync(RunRecord claimed, CancellationToken processEnds)
    {
        try
        {
            var history = await LoadAsync(claimed.Id, processEnds);
            var manifest = history.Created?.Manifest ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"run {claimed.Id} has no RunCreated entry");
            return new RunSession(claimed, history, manifest, await services.Tree.OpenAsync(claimed, processEnds), lease, services, processEnds);
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DatabaseCorrupt)
        {
            log.LogError("run {Run} is paused: {Problem}", claimed.Id, problem.Message);
            await Unreadable.PauseAsync(services, claimed, lease.Node, problem, processEnds);
            _session.TrySetResult(null);
            return null;
        }
        catch (OperationCanceledException)
        {
            _session.TrySetResult(null);
            throw;
        }
    }

    private async Task<RunHistory> LoadAsync(RunId run, CancellationToken cancellationToken)
    {
        const int pageSize = 500;
        var history = new RunHistory();
        while (true)
        {
            var page = await services.Reader.ReadJournalAsync(run, history.LastSeq, pageSize, cancellationToken);
            foreach (var entry in await JournalWriter.ResolveAsync(services.Blobs, page, cancellationToken))
                history.Add(entry);
            if (page.Count < pageSize)
                return history;
        }
    }

    /// <summary>3. One attempt of the agent; <c>null</c> where none was made, because the run is to stop.</summary>
    private async Task<TurnEnd?> TurnAsync(RunSession session, RunBox box)
    {
        if (session.Stop is { Kind: StopKind.Cancel or StopKind.Kill })
            return new TurnEnd.Halted(new RunHalt.Requested());
        if (session.Claimed.LoneCrashes >= Poison.LoneCrashesToPause && !session.History.ResumedSince(session.Claimed.LoneCrashes))
            return new TurnEnd.Halted(new RunHalt.Poisoned(session.Claimed.LoneCrashes));
        if (session.Manifest.Process is not null)
            return await new Processes.ProcessTurn(session, services, box, new StepRunner(session, services, services.Dice)).RunAsync();
        IAgent agent = new LoopAgent();
        string? build = null;
        if (session.Manifest.Code is { } code)
        {
            if (!services.CodeAgents.TryGetValue(code, out agent!))
                return new TurnEnd.Halted(new RunHalt.Exhausted(new Failure(ErrorCodes.AgentNotFound, $"no agent '{code}' is registered in this server: start one that has it, then resume the run")));
            build = services.Builds.BuildOf(code);
        }

        if (build is not null && session.History.Build is { } was && was != build)
        {
            // Another build of the agent: it must first show, without acting, that it takes the journal's way.
            var shadow = await RunAsync(session, null, agent, shadow: true);
            if (shadow is TurnEnd.Halted { Halt: RunHalt.Drifted drift })
                return new TurnEnd.Halted(new RunHalt.OtherVersion(was, build, drift.Report));
            await session.JournalAsync([new EntryDraft(EntryKind.VersionAdopted, new EntryBody.VersionAdopted(was, build))], null);
            session.Restart(await LoadAsync(session.Run, session.Owned));
        }

        return await RunAsync(session, box, agent, shadow: false);
    }

    private async Task<TurnEnd> RunAsync(RunSession session, RunBox? box, IAgent agent, bool shadow)
    {
        using var turn = new Turn(session, services.Tasks, services.Clock, services.Options.HoldWaiting, shadow, log);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(session.Owned);
        var context = new RunContext(turn, session, new StepRunner(session, services, services.Dice), services.Spawner, services.Models, box);
        using var grace = new StepGrace(session, services, CancelGrace);
        try
        {
            return await turn.RunAsync(() => agent.RunAsync(context, over.Token));
        }
        finally
        {
            // Its code may have been dropped where it stood: so whoever made the agent hears that it is over.
            over.End();
        }
    }

    /// <summary>4.</summary>
    private async Task EndTurnAsync(RunSession session, RunBox box, TurnEnd end)
    {
        switch (end)
        {
            case TurnEnd.Completed completed:
                await session.ApplyAsync(new RunCommand.Complete(completed.Result), s => s with { Result = Cut(completed.Result), Detail = null }, [], []);
                break;
            case TurnEnd.Idle:
                await box.ParkAsync();
                // A stop that was journaled while the turn ended is in no inbox any more: unloaded with it, the run would wait for ever.
                await session.Inbox.ClosedAsync(() => session.Stop is null
                    ? session.ApplyAsync(new RunCommand.Unload(), s => s, [], [])
                    : new Halts(session, box, services).WriteAsync(new RunHalt.Requested()));
                break;
            case TurnEnd.Halted halted:
                await session.Inbox.ClosedAsync(() => new Halts(session, box, services).WriteAsync(halted.Halt));
                break;
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>5. Whether something came that may let the run go on; otherwise it is released.</summary>
    private async Task<bool> StayAsync(RunSession session, RunBox box)
    {
        if (box.IsOpen && !_evicted)
        {
            using var cancel = CancellationTokenSource.CreateLinkedTokenSource(session.Owned);
            var hold = Task.Delay(services.Options.HoldWaiting, services.Clock, cancel.Token);
            while (session.State.Status == RunStatus.Paused && session.Stop is not { Kind: StopKind.Cancel } && !_evicted)
            {
                if (await Task.WhenAny(_input.Next, hold) == hold)
                    break;
                _input.Take();
            }

            cancel.End();
            session.Owned.ThrowIfCancellationRequested();
        }

        var goesOn = false;
        if (session.State.Status == RunStatus.Paused && session.Stop is not { Kind: StopKind.Cancel })
            await box.ParkAsync();
        await session.Inbox.ClosedAsync(async () =>
        {
            goesOn = session.State.Status != RunStatus.Paused || session.Stop is { Kind: StopKind.Cancel };
            if (!goesOn)
                await session.ApplyAsync(new RunCommand.Yield(), s => s, [], []);
        });
        return goesOn;
    }

    /// <summary>Lists show the beginning; the journal has the whole.</summary>
    private static string Cut(string result) => result.Length <= 64 << 10 ? result : result[..(64 << 10)] + "…";
}
