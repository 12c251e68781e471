using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Turns;

/// <summary>
/// One attempt of an agent's code, from its first line.
/// <para>
/// Problem: code that runs again must take the same way, whatever finished first in the world outside. So there is one
/// loop, and it alone runs the agent's code (<see cref="AgentScheduler"/>) and gives it answers, one at a time, in the
/// journal's order, the next only when the code waits again: in a replay exactly as live. States: replaying (answers
/// come from the history) → live (what is asked for is executed, its answer arrives from the journal it was written
/// to) → ended. Invariants: nothing executes before the whole history is answered, so drift is found before anything
/// of another way can happen; an answer is delivered only after it is durable; a turn ends only when nothing of it
/// executes. An agent is never unwound: when its turn ends early, its code is dropped where it stands, so it can
/// neither catch the halt nor act on it. When the process dies nothing of this is missed: the next owner begins anew.
/// </para>
/// </summary>
internal sealed class Turn : IDisposable
{
    private readonly RunSession _session;
    private readonly EngineTasks _tasks;
    private readonly TimeProvider _clock;
    private readonly TimeSpan _hold;
    private readonly bool _shadow;
    private readonly ILogger _log;
    private readonly AgentScheduler _scheduler;
    private readonly OpenOperations _open = new();
    private readonly Dictionary<string, Queue<Arrival>> _signals = new(StringComparer.Ordinal);
    private readonly HashSet<string> _done = new(StringComparer.Ordinal);
    private readonly List<Operation> _fresh = [];
    private readonly List<EntryDraft> _notes = [];
    private readonly Queue<Arrival> _live = new();
    private readonly Lock _inbound = new();
    private readonly Wake _wake;
    private readonly List<Task> _executing = [];
    private RunHalt? _halt;
    private Task<string?>? _agent;
    private Exception? _problem;

    internal Turn(RunSession session, EngineTasks tasks, TimeProvider clock, TimeSpan hold, bool shadow, ILogger log)
    {
        (_session, _tasks, _clock, _hold, _shadow, _log) = (session, tasks, clock, hold, shadow, log);
        _wake = new Wake(tasks);
        _scheduler = new AgentScheduler(_wake.Set);
        Now = session.History.SavedAt ?? session.History.CreatedAt;
        Answered = session.History.SavedSeq;
        Occurrences = new Occurrences(session.History.SavedOccurrences);
        session.Attach(Arrive, _wake.Set);
    }

    internal Occurrences Occurrences { get; }

    /// <summary>Time of the last answer.</summary>
    internal DateTimeOffset Now { get; private set; }

    /// <summary>The entry that the last answer came from.</summary>
    internal long Answered { get; private set; }

    internal bool Replaying => _session.History.Replaying;

    /// <summary>Entries of signals that nobody took yet; of those after <see cref="Answered"/> nobody could.</summary>
    internal IReadOnlyList<long> UntakenSignals =>
        [.. _signals.Values.SelectMany(q => q).Concat(_session.History.Arrivals.Where(a => a.Kind == EntryKind.SignalConsumed)).Select(a => a.Seq).Where(seq => seq <= Answered).Order()];

    /// <summary>Whether nothing else is asked for: a snapshot has no place for what is under way.</summary>
    internal bool NothingOpen => _open.IsEmpty;

    internal async Task<TurnEnd> RunAsync(Func<Task<string>> agent)
    {
        _ = Task.Factory.StartNew(() => _agent = GuardAsync(agent), CancellationToken.None, TaskCreationOptions.None, _scheduler);
        try
        {
            while (true)
            {
                _scheduler.Pump();
                if (_agent is { IsCompleted: true })
                {
                    if (_executing.Count == 0)
                        return Ended(await _agent);

                    // It left steps behind: what executes ends first, what waits for another attempt gives up.
                    await _session.EndWaitsAsync();
                    if (!await RestAsync())
                        throw new InvalidOperationException("unreachable");
                    continue;
                }

                if (Next() is { } arrival)
                {
                    Deliver(arrival);
                    continue;
                }

                if (_halt is null && await LiveAsync() is { } end)
                    return end;
                if (_halt is { } halt && _executing.Count == 0)
                    return new TurnEnd.Halted(halt);
                if (!await RestAsync())
                    return new TurnEnd.Idle();
            }
        }
        finally
        {
            _scheduler.Close();
            _session.Detach();
        }
    }

    /// <summary>An agent that fails before its first await fails like any other.</summary>
    private async Task<string?> GuardAsync(Func<Task<string>> agent)
    {
        try
        {
            return await agent();
        }
        catch (Exception problem)
        {
            // Of the agent's own code, a cancellation that nobody asked for included (a client's time-out comes as
            // one): that is data of the run, not of this process.
            _problem = problem;
            return null;
        }
    }

    /// <summary>Called by the agent's code, between two answers.</summary>
    internal void Ask(Operation operation)
    {
        if (operation.Waits == WaitReason.Signal && _signals.TryGetValue(operation.Slot, out var buffered) && buffered.TryDequeue(out var signal))
        {
            _ = operation.Answer(signal);
            return;
        }

        _open.Add(operation);
        _fresh.Add(operation);
    }

    /// <summary>Journaled with the next write that begins something.</summary>
    internal void Note(EntryDraft remark) => _notes.Add(remark);

    /// <summary>An answer was journaled. Any thread; the calls come in the journal's order. Who wrote it wakes the loop afterwards.</summary>
    private void Arrive(Arrival arrival)
    {
        lock (_inbound)
            _live.Enqueue(arrival);
    }

    /// <summary>Whether an answer waits that the code can still be given.</summary>
    private bool HasArrivals
    {
        get
        {
            if (_halt is RunHalt.Drifted || _agent is { IsCompleted: true })
                return false;
            lock (_inbound)
                return _live.Count > 0;
        }
    }

    /// <summary>Whether the code asked for something that admission keeps from beginning.</summary>
    private bool IsHeldBack => _fresh.Count > 0 && _halt is null && _agent is not { IsCompleted: true };

    private Arrival? Next()
    {
        if (_halt is RunHalt.Drifted)
            return null;
        if (_session.History.Arrivals.TryDequeue(out var recorded))
            return recorded;
        lock (_inbound)
            return _live.TryDequeue(out var live) ? live : null;
    }

    private void Deliver(Arrival arrival)
    {
        var slot = arrival.Slot;
        (Now, Answered) = (arrival.At > Now ? arrival.At : Now, Math.Max(arrival.Seq, Answered));
        if (_open.First(slot) is { } operation)
        {
            Close(operation);
            if (operation.Answer(arrival) is { } other)
                Drift(other);
        }
        else if (arrival.Kind == EntryKind.SignalConsumed)
        {
            if (!_signals.TryGetValue(slot, out var queue))
                _signals[slot] = queue = new();
            queue.Enqueue(arrival);
        }
        else if (!_done.Contains(slot))
        {
            // The code waits for something else, and only answers make it go on: it took another way than the journal.
            Drift(new DriftReport(arrival.Seq, Describe(arrival), _fresh.FirstOrDefault()?.Text ?? "nothing"));
        }
    }

    private void Close(Operation operation)
    {
        _open.Remove(operation);
        _fresh.Remove(operation);

        // Its timer may have fired at the same moment: what is still to come of it is answered already.
        if (operation.TimeoutSlot is { } timeout)
            _done.Add(timeout);
    }

    private void Drift(DriftReport report) => _halt ??= new RunHalt.Drifted(report);

    /// <summary>The history is answered: goes on to what is new, or says why not.</summary>
    private async Task<TurnEnd?> LiveAsync()
    {
        if (_shadow)
            return new TurnEnd.Clean();
        if (_session.Stop is not null)
        {
            _halt = new RunHalt.Requested();
            return null;
        }

        if (_session.Admission is { } refusal && _fresh.Count > 0)
        {
            _log.LogDebug("run {Run} waits: {Reason}", _session.Run, refusal);
            _session.HoldBack();
            return null;
        }

        var fresh = _fresh.ToList();
        _fresh.Clear();
        if (fresh.Count > 0)
            await BeginAsync(fresh);
        if (_open.DueAt(_clock.GetUtcNow()) is { Count: > 0 } due)
            await ExpireAsync(due);
        return null;
    }

    /// <summary>What a person said at the last moment counts: no input is taken over between the look and the write.</summary>
    private Task ExpireAsync(List<Operation> due) => _session.Inbox.ClosedAsync(() => _session.JournalAsync([.. due.Select(o => o.AtDue!()).OfType<EntryDraft>()], null));

    private async Task BeginAsync(List<Operation> fresh)
    {
        var entries = new List<EntryDraft>(_notes);
        _notes.Clear();
        Operation? last = null;
        foreach (var operation in fresh)
        {
            if (operation.Execute is not null)
                last = operation;
            if (operation.Intent?.Invoke() is not { } intent)
                continue;
            entries.AddRange(intent.Entries);
            operation.DueAt = intent.DueAt;
        }

        var waits = last is null && _executing.Count == 0 ? _open.Waits() : null;
        if (entries.Count > 0 || waits is not null)
            await _session.JournalAsync(entries, waits);
        foreach (var operation in fresh)
        {
            // The last one may begin on this thread: nothing else waits for it.
            if (operation.Execute is { } execute)
                Follow(operation == last ? execute() : _tasks.Run(execute));
        }
    }

    /// <summary>An execution that ends wakes the loop, and the loop goes on where it ended: no thread waits for another.</summary>
    private void Follow(Task execution)
    {
        if (execution.IsCompletedSuccessfully)
            return;
        _executing.Add(execution);
        _ = execution.ContinueWith(_ => _wake.SetHere(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, _tasks.Scheduler);
    }

    /// <summary>Waits until something happens. <c>false</c> when nothing did for so long that the run can be unloaded.</summary>
    private async Task<bool> RestAsync()
    {
        while (true)
        {
            await HarvestAsync();
            if (_wake.Take() || HasArrivals || (_halt is not null && _executing.Count == 0))
                return true;
            if (IsHeldBack)
            {
                // What has not begun has no due time yet: the run must not be unloaded with it.
                await _wake.Next;
                return true;
            }

            if (_executing.Count > 0)
            {
                if (_session.StepsAbandoned)
                    _executing.Clear();
                else
                    await _wake.Next;
                continue;
            }

            var waits = _open.Waits();
            if (waits is null)
            {
                // The code awaits something that is not its run's. Nobody can say for how long; a deadline ends it.
                await _wake.Next;
                continue;
            }

            await _session.JournalAsync([], waits);
            if (_session.LetGo)
                return _wake.IsSet;
            return await WakeWithinAsync(waits);
        }
    }

    private async Task<bool> WakeWithinAsync(Waiting waits)
    {
        var now = _clock.GetUtcNow();
        var toDue = waits.DueAt is { } due ? due - now : (TimeSpan?)null;
        if (toDue <= TimeSpan.Zero)
            return true;
        var unloads = toDue is null || toDue > _hold;
        using var cancel = new CancellationTokenSource();
        var timer = Task.Delay(unloads ? _hold : toDue!.Value, _clock, cancel.Token);
        var woken = await Task.WhenAny(_wake.Next, timer);
        cancel.End();
        return woken != timer || !unloads || _wake.IsSet;
    }

    /// <summary>Takes the executions that have ended off the list, and what they ended with.</summary>
    private async Task HarvestAsync()
    {
        for (var i = _executing.Count - 1; i >= 0; i--)
        {
            var task = _executing[i];
            if (!task.IsCompleted)
                continue;
            _executing.RemoveAt(i);
            try
            {
                await task;
            }
            catch (RunHaltException halted)
            {
                _halt ??= halted.Halt;
            }
            catch (OperationCanceledException) when (!_session.Owned.IsCancellationRequested)
            {
                // Told to give up waiting. Whoever told it may have taken that back since.
                _halt ??= new RunHalt.Requested();
            }
        }
    }

    private TurnEnd Ended(string? result)
    {
        if (_session.Stop is { Kind: StopKind.Cancel })
            return new TurnEnd.Halted(new RunHalt.Requested());
        if (_halt is RunHalt.Drifted)
            return new TurnEnd.Halted(_halt);
        if (_session.History.Arrivals.FirstOrDefault(a => a.Kind is EntryKind.StepCompleted or EntryKind.ChildSpawned && !_open.Contains(a.Slot)) is { } left)
            return new TurnEnd.Halted(new RunHalt.Drifted(new DriftReport(left.Seq, Describe(left), "the end")));
        if (_shadow)
            return new TurnEnd.Clean();
        if (_problem is null)
            return new TurnEnd.Completed(result ?? "");
        var failure = _problem switch
        {
            Agents.StepFailedException known => known.Failure,
            CaissonException known => known.ToFailure(),
            _ => new Failure(ErrorCodes.Internal, $"the agent failed: {_problem.GetType().Name}: {_problem.Message}"),
        };
        return new TurnEnd.Halted(_problem is CaissonException ? new RunHalt.Exhausted(failure) : new RunHalt.Failed(failure));
    }

    private static string Describe(Arrival arrival) => arrival.Body switch
    {
        EntryBody.StepCompleted completed => RunHistory.Describe(completed.Step),
        EntryBody.StepResolved resolved => RunHistory.Describe(resolved.Step),
        EntryBody.ChildSpawned child => $"child {child.Agent}",
        _ => Words.Of(arrival.Kind),
    };

    public void Dispose() => _scheduler.Close();
}
