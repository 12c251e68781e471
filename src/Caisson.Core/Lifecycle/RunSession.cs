using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Stores;
using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// One ownership of one run: the only writer of its journal while it lasts.
/// <para>
/// Problem: steps of one run finish side by side, operators speak at any time, and another node may have taken the run
/// over without this one knowing. States: owned → released (this session let go) or lost (the store refused its fence).
/// Invariants: one change set is under way at a time, so sequence numbers have no gaps; nothing is written after the
/// release; memory never runs ahead of what is committed; the turn gets its answers in the order of their entries. If
/// this process dies, whatever was acknowledged is in the store and the next owner reads it; if the store refuses a
/// write, <see cref="Owned"/> is cancelled and every waiting call ends with <see cref="OperationCanceledException"/>.
/// </para>
/// </summary>
internal sealed partial class RunSession : IDisposable
{
    private readonly Fence _fence;
    private readonly RunServices _services;
    private readonly NodeLease _lease;
    private readonly RunRecord _claimed;
    private readonly IReadOnlyList<string> _path;
    private DateTimeOffset _lastProgress;
    private bool _suspect;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly CancellationTokenSource _owned;
    private readonly OpenSteps _open = new();
    private readonly Lock _memory = new();
    private readonly Func<string?> _current;
    private CancellationTokenSource _halting;
    private CancellationTokenSource _interrupt;
    private Action<Arrival>? _arrive;
    private Action? _wake;
    private RunState _state;
    private RunSummary _summary;
    private KnownLimits? _limits;
    private DateTimeOffset? _dueAt;
    private bool _released;

    /// <param name="path">Budget nodes from the tenant to the run, all of them loaded.</param>
    internal RunSession(RunRecord claimed, RunHistory history, AgentManifest manifest, IReadOnlyList<string> path, NodeLease lease, RunServices services, CancellationToken ended)
    {
        _path = path;
        _suspect = claimed.Suspicion > 0;
        _lastProgress = services.Clock.GetUtcNow();
        Run = claimed.Id;
        Epoch = claimed.Epoch;
        History = history;
        _claimed = claimed;
        _fence = new Fence(lease.Node, claimed.Epoch);
        _lease = lease;
        _services = services;
        _owned = CancellationTokenSource.CreateLinkedTokenSource(ended);
        _halting = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
        _interrupt = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
        _state = new RunState(claimed.Status, claimed.Waiting, claimed.Paused);
        _summary = claimed.Summary;
        _dueAt = claimed.DueAt;
        Manifest = manifest;
        Inbox = new RunInbox(this, services);
        Egress = new RunEgress(this, services);
        _current = CurrentSteps;
        services.Signals.ShowSteps(Run, _current);
    }

    internal RunId Run { get; }

    internal long Epoch { get; }

    internal bool MaySend => _lease.MaySend && Killed is null;

    internal RunRecord Claimed => _claimed;

    internal AgentManifest Manifest { get; }

    /// <summary>The journal as of the last write.</summary>
    internal RunHistory History { get; private set; }

    internal RunInbox Inbox { get; }

    internal RunEgress Egress { get; }

    internal RunState State => _state;

    internal RunSummary Summary => _summary;

    /// <summary>Ends when the ownership does.</summary>
    internal CancellationToken Owned => _owned.Token;

    /// <summary>Ends when the run should halt: whoever waits between two attempts gives up waiting.</summary>
    internal CancellationToken Halting => _halting.Token;

    /// <summary>Ends when steps must stop at once: ownership lost, run cancelled, deadline over.</summary>
    internal CancellationToken Interrupted => _interrupt.Token;

    internal StopRequest? Stop { get; private set; }

    internal bool IsReleased => _released;

    /// <summary>Called when limits were raised.</summary>
    internal Action? LimitsChanged { get; set; }

    /// <summary>Whether steps that did not stop are left behind.</summary>
    internal bool StepsAbandoned { get; private set; }

    internal void AbandonSteps()
    {
        StepsAbandoned = true;
        Nudge();
    }

    /// <summary>Why nothing new may begin on this server, or <c>null</c>.</summary>
    internal string? Admission => _lease.State == LeaseState.Live ? _services.Admission.Refusal : "the lease is in doubt";

    internal void HoldBack() => _services.HoldBack();

    internal CountLimits Limits
    {
        get
        {
            // Asked for at every step, and changed by an operator at most: the record of raised limits is another one then.
            var (known, history) = (_limits, History);
            if (known is null || !ReferenceEquals(known.Raised, history.Raised))
                _limits = known = new KnownLimits(history.Raised, CountLimits.Of(Run, Manifest.Limits, history.Raised, history.BeganAt));
            return known.Limits;
        }
    }

    internal int LoopRepeats => History.Raised.LoopRepeats ?? Manifest.LoopGuard.Repeats;

    internal bool MoneyIsCapped => (History.Raised.NanoUsd ?? Manifest.Limits.NanoUsd) is not null;

    /// <summary>Connects the turn that gets the answers of what is written from now on.</summary>
    internal void Attach(Action<Arrival> arrive, Action wake)
    {
        lock (_memory)
            (_arrive, _wake) = (arrive, wake);
    }

    internal void Detach()
    {
        lock (_memory)
            (_arrive, _wake) = (null, null);
    }

    /// <summary>The server has no room for runs that only wait.</summary>
    internal bool LetGo { get; set; }

    /// <summary>Lets the turn look around: admission may have changed.</summary>
    internal void Nudge()
    {
        Action? wake;
        lock (_memory)
            wake = _wake;
        wake?.Invoke();
    }

    /// <summary>Begins anew from the journal, for another turn of the same ownership.</summary>
    internal void Restart(RunHistory history)
    {
        lock (_memory)
        {
            History = history;
            if (Stop is { Kind: StopKind.Cancel })
                return;
            Stop = null;
            StepsAbandoned = false;
            if (_halting.IsCancellationRequested)
                _halting = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
            if (_interrupt.IsCancellationRequested)
                _interrupt = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
        }
    }

    internal async Task RequestStopAsync(StopRequest request)
    {
        lock (_memory)
        {
            if (Stop is not null && Stop.Kind >= request.Kind)
                return;
            Stop = request;
        }

        await _services.Tasks.CancelAsync(_halting);
        if (request.Kind >= StopKind.Deadline)
            await _services.Tasks.CancelAsync(_interrupt);
        Nudge();
        _services.Signals.Changed(Run);
    }

    /// <summary>Whoever waits between two attempts gives up.</summary>
    internal Task EndWaitsAsync() => _services.Tasks.CancelAsync(_halting);

    /// <summary>Takes back a pause that has not come about.</summary>
    internal long? WithdrawPause()
    {
        lock (_memory)
        {
            if (Stop is not { Kind: StopKind.Pause } pause)
                return null;
            Stop = null;
            if (_halting.IsCancellationRequested)
                _halting = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
            return pause.Input;
        }
    }

    /// <summary>Journals what is no step's end, and that the run waits, where it does.</summary>
    internal Task JournalAsync(IReadOnlyList<EntryDraft> entries, Waiting? waits)
    {
        if (entries.Count == 0 && (waits is null || (_state.Status == RunStatus.Waiting && _state.Waiting == waits.Reason && _dueAt == waits.DueAt)))
            return Task.CompletedTask;
        return WriteAsync(new Unit
        {
            Entries = entries,
            Transition = state => waits is null ? Proceed(state) : RunStateMachine.Apply(state, new RunCommand.Wait(waits.Reason, waits.DueAt)),
            Update = s => s with { Detail = waits?.Text },
        }, _owned.Token);
    }

    /// <summary>Brings the run into another state; a halt settles what is still held as spent in doubt.</summary>
    internal async Task ApplyAsync(RunCommand command, Func<RunSummary, RunSummary> summary, IReadOnlyList<EntryDraft> before, IReadOnlyList<long> consumed)
    {
        var files = command is RunCommand.End ? await KeptFiles.OfAsync(Manifest.Workspace, _summary.WorkspaceRoot, _services.Workspaces, _owned.Token) : new();
        command = command is RunCommand.End end ? end with { Kept = files.Entry } : command;
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            var next = RunStateMachine.Apply(_state, command);
            if (next.Release || next.State.Status == RunStatus.Paused)
                budget.AddRange(_open.Abandon(_services.Clock.GetUtcNow()));
        }

        await WriteAsync(new Unit { Entries = before, Transition = state => RunStateMachine.Apply(state, command), Budget = budget, Consumed = consumed, Update = s => files.Show(summary(s)) }, _owned.Token);
    }

    /// <summary>The cap in force, to tell whether a denial is out of date.</summary>
    internal long? CapOf(LimitDimension dimension) => Manifest.Limits.With(History.Raised).Cap(dimension);

    internal static Transition? Proceed(RunState state) => state.Status == RunStatus.Waiting ? RunStateMachine.Apply(state, new RunCommand.Proceed()) : null;

    /// <summary>Writes one change set, alone, and then follows it in memory.</summary>
    internal async Task<AppendOutcome> WriteAsync(Unit unit, CancellationToken cancellationToken)
    {
        // Without the token: a wait that can be cancelled leaves the engine's scheduler. Who holds the gate gives it back soon.
        await _gate.WaitAsync(CancellationToken.None);
        try
        {
            _owned.Token.ThrowIfCancellationRequested();
            if (_released)
                throw new OperationCanceledException("the run was released");
            unit = unit.Decide?.Invoke() ?? unit;
            var change = unit.Transition?.Invoke(_state);
            var state = change?.State ?? _state;
            // As coarse as the store keeps it: the time that the agent sees now is the one that a replay shows it.
            var now = DateTimeOffset.FromUnixTimeMilliseconds(_services.Clock.GetUtcNow().ToUnixTimeMilliseconds());
            var due = change?.DueAt.Kind switch
            {
                DueKind.Now => now,
                DueKind.Never => null,
                DueKind.At => change.DueAt.At,
                _ => _dueAt,
            };
            IReadOnlyList<EntryDraft> entries = change is null or { Writes.Count: 0 }
                ? unit.Entries
                : [.. unit.Entries, .. change.Writes.Select(w => new EntryDraft(w.Kind, w.Body))];
            var summary = unit.Update?.Invoke(_summary) ?? _summary;
            var events = Egress.Take();
            if (entries.Count == 0 && unit.Consumed.Count == 0 && unit.Budget.Count == 0 && unit.Children.Count == 0 && events.Count == 0 && state == _state && due == _dueAt && change is not { Release: true })
                return new AppendOutcome.Committed();

            var drafts = new JournalDraft[entries.Count];
            for (var i = 0; i < drafts.Length; i++)
                drafts[i] = await JournalWriter.DraftAsync(_services.Blobs, entries[i], cancellationToken);
            var release = change?.Release ?? false;
            var set = new ChangeSet(Run, _fence, _services.Ids.NextRandom(), History.LastSeq + 1, now, drafts,
                new RunRow(state.Status, state.Waiting, state.Paused, due, release, summary), unit.Budget, unit.Consumed)
            {
                Children = unit.Children,
                Posts = state.IsFinal ? Family.Farewell(Run, _claimed.Parent, History, state, entries) : [],
                Events = events,
            };

            // Not cancellable: a change set that was sent has an outcome, and memory must follow it.
            var outcome = await _services.Store.AppendAsync(set, CancellationToken.None);
            if (outcome is not AppendOutcome.Committed)
                Egress.PutBack(events);
            if (outcome is AppendOutcome.Committed)
                Follow(unit, entries, state, summary, due, release, now, set);
            if (outcome is AppendOutcome.Fenced)
            {
                await _services.Tasks.CancelAsync(_owned);
                throw new OperationCanceledException(_owned.Token);
            }

            return outcome;
        }
        finally
        {
            _gate.Release();
        }
    }

    private void Follow(Unit unit, IReadOnlyList<EntryDraft> entries, RunState state, RunSummary summary, DateTimeOffset? due, bool release, DateTimeOffset at, ChangeSet set)
    {
        lock (_memory)
        {
            // In one go: a step that is neither in flight nor counted would let one too many be admitted.
            var was = _state.Status;
            (_state, _summary, _dueAt, _released) = (state, summary, due, release);
            _open.Committed(unit.Budget);
            if (unit.Done is { } key)
                Close_NeedsLock(key, Has(entries, EntryKind.StepCompleted));
            foreach (var change in unit.Budget)
            {
                if (change is BudgetChange.SetCap cap)
                    _services.Tree.Counts.SetCap(_path[^1], cap.Dimension, cap.Cap);
            }

            if (unit.Done is not null || was == RunStatus.Waiting)
                _lastProgress = at;
            if (unit.Done is not null && _suspect)
            {
                // Others wait until it is cleared: the dispatcher looks again at once.
                _suspect = false;
                _services.Signals.Due(Run);
            }

            foreach (var entry in entries)
            {
                if (History.Wrote(entry, at) is not { } arrival)
                    continue;

                // Without a turn it is an answer that the next one begins with: an input taken over before the agent runs.
                if (_arrive is { } give)
                    give(arrival);
                else
                    History.Arrivals.Enqueue(arrival);
            }
        }

        _services.Lines.Freed(_path);

        // The execution that a step's end belongs to wakes the turn itself, when it is through.
        if (unit.Done is null)
            Nudge();
        if (Has(entries, EntryKind.LimitRaised))
            LimitsChanged?.Invoke();
        _services.Signals.Changed(Run);
        foreach (var child in set.Children)
            _services.Signals.Due(child.Id);
        foreach (var post in set.Posts)
            _services.Signals.Due(post.Run);
    }

    private sealed record KnownLimits(RaisedLimits Raised, CountLimits Limits);

    private static bool Has(IReadOnlyList<EntryDraft> entries, EntryKind kind)
    {
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Kind == kind)
                return true;
        }

        return false;
    }

    private string? CurrentSteps()
    {
        lock (_memory)
            return _open.Describe(Stop);
    }

    public void Dispose()
    {
        _services.Signals.HideSteps(Run, _current);
        lock (_memory)
        {
            foreach (var subject in _open.All)
                _services.Tree.Counts.Abandon(_path, CountLimits.CountsOf(subject.Kind));
            _services.Tree.Counts.Leave(_path);
        }

        Egress.Dispose();
        _interrupt.Dispose();
        _halting.Dispose();
        _owned.Dispose();
        _gate.Dispose();
        Inbox.Dispose();
    }
}
