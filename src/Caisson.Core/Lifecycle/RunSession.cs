using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Leases;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// One ownership of one run: the only writer of its journal while it lasts.
/// <para>
/// Problem: steps of one run finish side by side, operators speak at any time, and another node may have taken the run
/// over without this one knowing. States: owned → released (this session let go) or lost (the store refused its fence).
/// Invariants: one change set is under way at a time, so sequence numbers have no gaps; nothing is written after the
/// release; memory never runs ahead of what is committed. If this process dies, whatever was acknowledged is in the
/// store and the next owner reads it; if the store refuses a write, <see cref="Owned"/> is cancelled and every waiting
/// call ends with <see cref="OperationCanceledException"/>.
/// </para>
/// </summary>
internal sealed class RunSession : IStepLog, IDisposable
{
    private readonly Fence _fence;
    private readonly RunServices _services;
    private readonly NodeLease _lease;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly SemaphoreSlim _inbox = new(1, 1);
    private readonly CancellationTokenSource _owned;
    private readonly CancellationTokenSource _halting;
    private readonly CancellationTokenSource _interrupt;
    private readonly OpenSteps _open = new();
    private readonly Lock _memory = new();
    private RunState _state;
    private RunSummary _summary;
    private DateTimeOffset? _dueAt;
    private long _nextSeq;
    private bool _released;

    internal RunSession(RunRecord claimed, RunHistory history, NodeId node, NodeLease lease, RunServices services, CancellationToken ended)
    {
        Run = claimed.Id;
        Epoch = claimed.Epoch;
        History = history;
        _fence = new Fence(node, claimed.Epoch);
        _lease = lease;
        _services = services;
        _owned = CancellationTokenSource.CreateLinkedTokenSource(ended);
        _halting = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
        _interrupt = CancellationTokenSource.CreateLinkedTokenSource(_owned.Token);
        _state = new RunState(claimed.Status, claimed.Waiting, claimed.Paused);
        _summary = claimed.Summary;
        _dueAt = claimed.DueAt;
        _nextSeq = history.LastSeq + 1;
        Manifest = history.Created?.Manifest ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"run {Run} has no RunCreated entry");
    }

    public RunId Run { get; }

    public long Epoch { get; }

    public bool MaySend => _lease.MaySend;

    internal AgentManifest Manifest { get; }

    internal RunHistory History { get; }

    internal RunState State => _state;

    internal RunSummary Summary => _summary;

    /// <summary>Ends when the ownership does.</summary>
    internal CancellationToken Owned => _owned.Token;

    public CancellationToken Halting => _halting.Token;

    /// <summary>Ends when tools must stop at once: ownership lost, run cancelled, deadline over.</summary>
    internal CancellationToken Interrupted => _interrupt.Token;

    internal StopRequest? Stop { get; private set; }

    internal CountLimits Limits => CountLimits.Of(Run, Manifest.Limits, History.Raised, History.CreatedAt);

    internal int LoopRepeats => History.Raised.LoopRepeats ?? Manifest.LoopGuard.Repeats;

    internal async Task RequestStopAsync(StopRequest request)
    {
        lock (_memory)
        {
            if (Stop is not null && Stop.Kind >= request.Kind)
                return;
            Stop = request;
            ShowCurrent_NeedsLock();
        }

        await _halting.CancelAsync();
        if (request.Kind >= StopKind.Deadline)
            await _interrupt.CancelAsync();
    }

    public StepKey ModelStep(string identity) => Occurrence("model", identity);

    internal StepKey NamedStep(string name) => Occurrence("named", name);

    internal static StepKey ToolStep(StepKey model, int ordinal) =>
        new(StepHash.Of("tool", "", model.Hash, ordinal.ToString(System.Globalization.CultureInfo.InvariantCulture)));

    public StepLookup Find(StepKey key, StepSubject subject)
    {
        lock (_memory)
            return History.Find(key, subject);
    }

    public async Task<BeginOutcome> BeginAsync(StepKey key, StepSubject subject, Hold? hold, CancellationToken cancellationToken)
    {
        var now = _services.Clock.GetUtcNow();
        int attempt;
        lock (_memory)
        {
            if (_open.Check(Limits, key, subject.Kind, _summary.Steps, _summary.ToolCalls, now) is { } denial)
                return new BeginOutcome.Denied(denial);
            _open.Add(key, subject);
            ShowCurrent_NeedsLock();
            attempt = History.Attempt(key);
        }

        if (hold is null)
            return new BeginOutcome.Begun();
        var draft = new JournalDraft(EntryKind.StepStarted, JournalJson.Write(new EntryBody.StepStarted(subject, hold)), Key: key.Hash, Attempt: attempt);
        var outcome = await WriteAsync([draft], Proceed(), [new BudgetChange.Reserve(key.Hash, hold)], [], s => s with { Detail = null }, cancellationToken);
        if (outcome is AppendOutcome.Denied denied)
        {
            lock (_memory)
                _open.Remove(key);
            return new BeginOutcome.Denied(denied.Denial);
        }

        return new BeginOutcome.Begun();
    }

    public async Task FailAttemptAsync(StepKey key, StepSubject subject, int attempt, Failure failure, HoldFate fate, DateTimeOffset? retryAt, CancellationToken cancellationToken)
    {
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            History.Attempted(key, attempt);
            if (retryAt is null)
                _open.Remove(key);
            if (_open.IsHeld(key))
            {
                if (fate != HoldFate.Keep)
                    budget.Add(fate == HoldFate.InDoubt ? new BudgetChange.Doubt(key.Hash) : new BudgetChange.Release(key.Hash));
                else if (retryAt is { } idle)
                    _open.Rest(key, idle);
            }
        }

        var draft = new JournalDraft(EntryKind.StepFailed, JournalJson.Write(new EntryBody.StepFailed(subject, failure, fate, retryAt)), Key: key.Hash, Attempt: attempt);
        await WriteAsync([draft], s => retryAt is { } at ? RunStateMachine.Apply(s, new RunCommand.Wait(WaitReason.Retry, at)) : null, budget, [],
            s => s with { Detail = retryAt is { } at ? $"attempt {attempt} failed, next at {at:HH:mm:ss}: {failure.Message}" : failure.Message }, cancellationToken);
    }

    public async Task CompleteAsync(StepKey key, StepSubject subject, StepResult result, CancellationToken cancellationToken)
    {
        var took = (long)(_services.Clock.GetUtcNow() - result.StartedAt).TotalMilliseconds;
        var usage = result.Usage == Usage.None ? null : result.Usage;
        var body = JournalJson.Write(new EntryBody.StepCompleted(subject, usage, took, result.Failure, result.WorkspaceRoot));
        var draft = await JournalWriter.DraftAsync(_services.Blobs, EntryKind.StepCompleted, body, cancellationToken, key: key.Hash, attempt: result.Attempt, payload: result.Result);
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            if (_open.IsHeld(key))
                budget.Add(new BudgetChange.Settle(key.Hash, result.Usage));
        }

        await WriteAsync([draft], Proceed(), budget, [], s => s with
        {
            Steps = s.Steps + 1,
            ToolCalls = s.ToolCalls + (subject.Kind == StepKind.Tool ? 1 : 0),
            InputTokens = s.InputTokens + result.Usage.InputTokens,
            OutputTokens = s.OutputTokens + result.Usage.OutputTokens,
            WorkspaceRoot = result.WorkspaceRoot ?? s.WorkspaceRoot,
            Detail = null,
        }, _owned.Token, done: key);
    }

    /// <summary>Journals something beside the steps.</summary>
    internal Task NoteAsync<T>(EntryKind kind, T body, CancellationToken cancellationToken) where T : EntryBody =>
        WriteAsync([new JournalDraft(kind, JournalJson.Write(body))], _ => null, [], [], s => s, cancellationToken);

    /// <summary>Brings the run into another state; a halt settles what is still held as spent in doubt.</summary>
    internal async Task ApplyAsync(RunCommand command, Func<RunSummary, RunSummary> summary, IReadOnlyList<JournalDraft> before, IReadOnlyList<long> consumed, CancellationToken cancellationToken)
    {
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            if (RunStateMachine.Apply(_state, command).Release)
            {
                budget.AddRange(_open.Abandon(_services.Clock.GetUtcNow()));
            }
        }

        await WriteAsync(before, state => RunStateMachine.Apply(state, command), budget, consumed, summary, cancellationToken);
    }

    /// <summary>
    /// Decides and writes a halt while no input is taken over: one that comes now stays in the inbox, and the release
    /// finds it there and leaves the run due. Taken over in between, it would be consumed by an owner that no longer acts on it.
    /// </summary>
    internal async Task WithoutInputsAsync(Func<Task> halt)
    {
        await _inbox.WaitAsync(_owned.Token);
        try
        {
            await halt();
        }
        finally
        {
            _inbox.Release();
        }
    }

    /// <summary>The cap in force, to tell whether a denial is out of date.</summary>
    internal long? CapOf(LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => History.Raised.NanoUsd ?? Manifest.Limits.NanoUsd,
        LimitDimension.Tokens => History.Raised.Tokens ?? Manifest.Limits.Tokens,
        LimitDimension.Steps => Limits.Steps,
        LimitDimension.ToolCalls => Limits.ToolCalls,
        _ => (long?)Limits.DeadlineSpan?.TotalMilliseconds,
    };

    /// <summary>Takes over what came from outside, in its order.</summary>
    internal async Task DrainInboxAsync(CancellationToken cancellationToken)
    {
        // One at a time: two readers would take the same row over twice.
        await _inbox.WaitAsync(cancellationToken);
        try
        {
            foreach (var input in await _services.Reader.ReadInboxAsync(Run, 100, cancellationToken))
                await TakeAsync(input, cancellationToken);
        }
        finally
        {
            _inbox.Release();
        }
    }

    private async Task TakeAsync(InboxInput input, CancellationToken cancellationToken)
    {
        var body = JournalJson.Read<InputBody.Operator>(input.Payload);
        switch (input.Kind)
        {
            case InputKind.Cancel:
                await WriteAsync([], s => RunStateMachine.Apply(s, new RunCommand.RequestCancel(body.By, body.Reason)), [], [input.Id], s => s, cancellationToken);
                await RequestStopAsync(new StopRequest(StopKind.Cancel, body.By, body.Reason, null));
                break;
            case InputKind.Pause when _state.Status == RunStatus.Paused || (Stop is { Kind: >= StopKind.Pause } && Stop.Input != input.Id):
                await WriteAsync([], _ => null, [], [input.Id], s => s, cancellationToken);
                break;
            case InputKind.Pause:
                await RequestStopAsync(new StopRequest(StopKind.Pause, body.By, body.Reason, input.Id));
                break;
            case InputKind.Resume:
                await ResumeAsync(input, body, cancellationToken);
                break;
        }
    }

    private async Task ResumeAsync(InboxInput input, InputBody.Operator body, CancellationToken cancellationToken)
    {
        List<JournalDraft> before = [];
        List<BudgetChange> caps = [];
        List<long> consumed = [input.Id];
        lock (_memory)
        {
            if (Stop is { Kind: StopKind.Pause, Input: { } pause })
            {
                consumed.Add(pause);
                Stop = null;
            }
        }

        if (body.Raise is { } raise && raise != new RaisedLimits())
        {
            before.Add(new JournalDraft(EntryKind.LimitRaised, JournalJson.Write(new EntryBody.LimitRaised(raise, body.By))));
            if (raise.NanoUsd is { } nano)
                caps.Add(new BudgetChange.SetCap(LimitDimension.NanoUsd, nano));
            if (raise.Tokens is { } tokens)
                caps.Add(new BudgetChange.SetCap(LimitDimension.Tokens, tokens));
            lock (_memory)
                History.Raise(raise);
        }

        var fromLoop = _state is { Status: RunStatus.Paused, Paused: PauseCause.Loop };
        await WriteAsync(before, s => RunStateMachine.Apply(s, new RunCommand.Resume(body.By)), caps, consumed,
            s => s with { Detail = null, LimitAt = null, LimitNeeds = null }, cancellationToken);
        if (fromLoop)
        {
            lock (_memory)
                History.LoopReset(_nextSeq - 1);
        }
    }

    private static Func<RunState, Transition?> Proceed() =>
        state => state.Status == RunStatus.Waiting ? RunStateMachine.Apply(state, new RunCommand.Proceed()) : null;

    private async Task<AppendOutcome> WriteAsync(
        IReadOnlyList<JournalDraft> entries,
        Func<RunState, Transition?> transition,
        List<BudgetChange> budget,
        IReadOnlyList<long> consumed,
        Func<RunSummary, RunSummary> update,
        CancellationToken cancellationToken,
        StepKey? done = null)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            _owned.Token.ThrowIfCancellationRequested();
            if (_released)
                throw new OperationCanceledException("the run was released");
            var change = transition(_state);
            var state = change?.State ?? _state;
            var due = change?.DueAt.Kind switch
            {
                DueKind.Now => _services.Clock.GetUtcNow(),
                DueKind.Never => null,
                DueKind.At => change.DueAt.At,
                _ => _dueAt,
            };
            var drafts = change is null or { Writes.Count: 0 }
                ? entries
                : [.. entries, .. await DraftsAsync(change.Writes, cancellationToken)];
            var summary = update(_summary);
            if (drafts.Count == 0 && consumed.Count == 0 && budget.Count == 0 && state == _state && change is not { Release: true })
                return new AppendOutcome.Committed();

            var unit = new ChangeSet(Run, _fence, _services.Ids.NextRandom(), _nextSeq, _services.Clock.GetUtcNow(), drafts,
                new RunRow(state.Status, state.Waiting, state.Paused, due, change?.Release ?? false, summary), budget, consumed);

            // Not cancellable: a change set that was sent has an outcome, and memory must follow it.
            var outcome = await _services.Store.AppendAsync(unit, CancellationToken.None);
            switch (outcome)
            {
                case AppendOutcome.Committed:
                    lock (_memory)
                    {
                        // In one go: a step that is neither in flight nor counted would let one too many be admitted.
                        (_state, _summary, _dueAt) = (state, summary, due);
                        _open.Committed(budget);
                        if (done is { } key)
                            _open.Remove(key);
                        ShowCurrent_NeedsLock();
                    }

                    _nextSeq += drafts.Count;
                    _released = change?.Release ?? false;
                    _services.Signals.Changed(Run);
                    break;
                case AppendOutcome.Fenced:
                    await _owned.CancelAsync();
                    throw new OperationCanceledException(_owned.Token);
            }

            return outcome;
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task<IReadOnlyList<JournalDraft>> DraftsAsync(IReadOnlyList<(EntryKind Kind, EntryBody Body)> writes, CancellationToken cancellationToken)
    {
        var drafts = new List<JournalDraft>(writes.Count);
        foreach (var (kind, body) in writes)
            drafts.Add(await JournalWriter.DraftAsync(_services.Blobs, kind, EntryBodies.Write(body), cancellationToken));
        return drafts;
    }

    private void ShowCurrent_NeedsLock() => _services.Signals.ShowStep(Run, _open.Describe(Stop));

    private StepKey Occurrence(string kind, string identity)
    {
        lock (_memory)
            return _open.Next(kind, identity);
    }

    public void Dispose()
    {
        _services.Signals.ShowStep(Run, null);
        _interrupt.Dispose();
        _halting.Dispose();
        _owned.Dispose();
        _gate.Dispose();
        _inbox.Dispose();
    }
}
