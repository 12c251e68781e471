using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>Steps of the owned run: admitted on the whole budget path, tried, recorded.</summary>
internal sealed partial class RunSession
{
    /// <summary>When somebody else would look after a run whose owner died while it stood in line.</summary>
    private static readonly TimeSpan BoxLook = TimeSpan.FromSeconds(10);

    /// <summary>After it a call is denied though it would fit: no client waits much longer for the first byte.</summary>
    private static readonly TimeSpan LinePatience = TimeSpan.FromSeconds(60);

    /// <summary>How often the first in line looks for what other processes settled.</summary>
    private static readonly TimeSpan LineLook = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan LeaseLook = TimeSpan.FromMilliseconds(100);

    /// <param name="last">The last call of a run that wraps up: it may use what is kept back.</param>
    internal async Task<BeginOutcome> BeginAsync(StepCall call, Hold? hold, EffectClass? effect, CancellationToken cancellationToken, bool last = false)
    {
        if (hold is null || _services.Lines.Waited(_path) is not { } line)
        {
            var outcome = await TryBeginAsync(call, hold, effect, last, cancellationToken);
            if (hold is null || outcome is not BeginOutcome.Denied(var denial) || !denial.FreesItself())
                return outcome;
            line = denial.Node;
        }

        return await BeginInLineAsync(line, () => TryBeginAsync(call, hold, effect, last, cancellationToken));
    }

    private async Task<BeginOutcome> TryBeginAsync(StepCall call, Hold? hold, EffectClass? effect, bool last, CancellationToken cancellationToken)
    {
        await RefuseIfKilledAsync();
        var now = _services.Clock.GetUtcNow();
        int attempt;
        lock (_memory)
        {
            if (_open.Check(last ? Limits : WorkLimits, call.Key, call.Subject.Kind, _summary, now) is { } denial)
                return new BeginOutcome.Denied(Whole(denial));
            if (!_open.Contains(call.Key) && _services.Tree.Counts.TryBegin(_path, CountLimits.CountsOf(call.Subject.Kind)) is { } above)
                return new BeginOutcome.Denied(above);
            _open.Add(call.Key, call.Subject);
            attempt = History.Attempts(call.Key) + 1;
        }

        if (hold is null && effect is null or EffectClass.Read or EffectClass.Idempotent)
            return new BeginOutcome.Begun();
        var outcome = await WriteAsync(new Unit
        {
            Entries = [new EntryDraft(EntryKind.StepStarted, new EntryBody.StepStarted(call.Subject, hold, effect)) { Scope = call.Scope, Key = call.Key.Hash, Attempt = attempt }],
            Transition = Proceed,
            Budget = hold is null ? [] : [new BudgetChange.Reserve(call.Key.Hash, hold) { Kept = last ? default : Kept }],
            Update = s => s with { Detail = null },
        }, cancellationToken);
        if (outcome is not AppendOutcome.Denied denied)
            return new BeginOutcome.Begun();
        lock (_memory)
            Close_NeedsLock(call.Key, completed: false);
        return new BeginOutcome.Denied(denied.Denial);
    }

    /// <summary>Only what other calls hold stands in the way of this one: it waits for them, up to <see cref="LinePatience"/>.</summary>
    private async Task<BeginOutcome> BeginInLineAsync(string node, Func<Task<BeginOutcome>> begin)
    {
        var until = _services.Clock.GetUtcNow() + LinePatience;
        var place = _services.Lines.Join(node);
        try
        {
            // Its turn may have come between the denial and the line.
            if (place.IsFirst)
                place.Wake.Set();
            while (true)
            {
                var isSeen = !await IsSetSoonAsync(place.Wake, LineLook);
                var isLast = _services.Clock.GetUtcNow() >= until;
                Halting.ThrowIfCancellationRequested();
                if (isSeen)
                    await AwaitBudgetAsync(place.Node, until);
                if (!place.IsFirst && !isLast)
                    continue;
                var outcome = await begin();
                if (outcome is not BeginOutcome.Denied(var denial))
                    return outcome;
                if (isLast || !denial.FreesItself())
                {
                    await WriteAsync(new Unit { Transition = s => s.Waiting == WaitReason.Budget ? Proceed(s) : null, Update = s => s with { Detail = null } }, Owned);
                    return outcome;
                }

                if (denial.Node == place.Node)
                    continue;
                place.Dispose();
                place = _services.Lines.Join(denial.Node);
            }
        }
        finally
        {
            place.Dispose();
        }
    }

    /// <returns>Whether it was set before the time was over.</returns>
    private async Task<bool> IsSetSoonAsync(Wake wake, TimeSpan time)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(Halting);
        var delay = _services.Tasks.DelayAsync(time, _services.Clock, over.Token);
        await Task.WhenAny(wake.Next, delay);
        over.End();
        return wake.Take();
    }

    /// <summary>Who waits for longer than a moment shows it.</summary>
    private Task<AppendOutcome> AwaitBudgetAsync(string node, DateTimeOffset until) => WriteAsync(new Unit
    {
        Transition = s => s.Status == RunStatus.Running ? RunStateMachine.Apply(s, new RunCommand.Wait(WaitReason.Budget, until)) : null,
        Update = s => s with { Detail = $"the next call waits for what others hold of {node}" },
    }, Owned);

    /// <summary>In memory, while the run's step goes on; the next write, of whatever the step came to, takes it out of the wait too.</summary>
    internal Task ShowWaitAsync(OutsideWait? wait, CancellationToken cancellationToken) => WriteAsync(new Unit
    {
        Transition = s => wait is null
            ? s.Waiting == WaitReason.Provider ? Proceed(s) : null
            : s.Status == RunStatus.Running ? RunStateMachine.Apply(s, new RunCommand.Wait(WaitReason.Provider, wait.Until)) : null,
        Update = s => s with { Detail = wait is null ? null : $"waiting for {wait.For} until {wait.Until:HH:mm:ss}" },
    }, cancellationToken);

    /// <summary>
    /// Until the lease surely holds. What was journaled before may have been acknowledged late, and an owner of the past
    /// must not begin anything outside.
    /// </summary>
    internal async Task WaitForLeaveAsync()
    {
        while (!MaySend)
            await _services.Tasks.DelayAsync(LeaseLook, _services.Clock, Interrupted);
    }

    /// <summary>
    /// The host has no room for the run's box now. The run waits in memory for its place in line; the next write, of
    /// whatever the step came to, takes it out of the wait.
    /// </summary>
    internal Task AwaitBoxAsync(string reason) => WriteAsync(new Unit
    {
        Transition = s => s.Status == RunStatus.Running ? RunStateMachine.Apply(s, new RunCommand.Wait(WaitReason.Sandbox, _services.Clock.GetUtcNow() + BoxLook)) : null,
        Update = s => s with { Detail = $"no room for a sandbox: {reason}" },
    }, Owned);

    internal async Task FailAttemptAsync(StepCall call, int attempt, Failure failure, HoldFate fate, DateTimeOffset? retryAt, CancellationToken cancellationToken)
    {
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            if (retryAt is null)
                Close_NeedsLock(call.Key, completed: false);
            if (_open.IsHeld(call.Key))
            {
                if (fate != HoldFate.Keep)
                    budget.Add(fate == HoldFate.InDoubt ? new BudgetChange.Doubt(call.Key.Hash) : new BudgetChange.Release(call.Key.Hash));
                else if (retryAt is { } idle)
                    _open.Rest(call.Key, idle);
            }
        }

        await WriteAsync(new Unit
        {
            Entries = [new EntryDraft(EntryKind.StepFailed, new EntryBody.StepFailed(call.Subject, failure, fate, retryAt)) { Scope = call.Scope, Key = call.Key.Hash, Attempt = attempt }],
            Transition = s => retryAt is { } at ? RunStateMachine.Apply(s, new RunCommand.Wait(WaitReason.Retry, at)) : null,
            Budget = budget,
            Update = s => s with { Detail = retryAt is { } at ? $"attempt {attempt} failed, next at {at:HH:mm:ss}: {failure.Message}" : failure.Message },
        }, cancellationToken);
    }

    internal async Task CompleteAsync(StepCall call, StepResult result)
    {
        var took = (long)(_services.Clock.GetUtcNow() - result.StartedAt).TotalMilliseconds;
        var body = new EntryBody.StepCompleted(call.Subject, result.Usage == Usage.None ? null : result.Usage, took, result.Failure, result.WorkspaceRoot);
        List<BudgetChange> budget = [];
        lock (_memory)
        {
            if (_open.IsHeld(call.Key))
                budget.Add(new BudgetChange.Settle(call.Key.Hash, result.Usage));
        }

        var kind = call.Subject.Kind;
        budget.AddRange(CountOne(CountLimits.CountsOf(kind)));
        await WriteAsync(new Unit
        {
            Entries = [new EntryDraft(EntryKind.StepCompleted, body) { Scope = call.Scope, Key = call.Key.Hash, Attempt = result.Attempt, Payload = result.Result }],
            Transition = Proceed,
            Budget = budget,
            Update = s => s with
            {
                Steps = s.Steps + 1,
                ToolCalls = s.ToolCalls + (kind == StepKind.Tool ? 1 : 0),
                ModelCalls = s.ModelCalls + (kind == StepKind.Model ? 1 : 0),
                InputTokens = s.InputTokens + result.Usage.InputTokens,
                OutputTokens = s.OutputTokens + result.Usage.OutputTokens,
                WorkspaceRoot = result.WorkspaceRoot ?? s.WorkspaceRoot,
                Detail = null,
            },
            Done = call.Key,
        }, _owned.Token);
    }

    /// <summary>The step is not under way any more: its room on the budget path is used, or free again.</summary>
    private void Close_NeedsLock(StepKey key, bool completed)
    {
        if (_open.Remove(key) is not { } subject)
            return;
        var counts = CountLimits.CountsOf(subject.Kind);
        if (completed)
            _services.Tree.Counts.Complete(_path, counts);
        else
            _services.Tree.Counts.Abandon(_path, counts);
    }

    /// <summary>A run's own counts stand in its row: the store counts for the nodes above it, of which a tenant has few rows.</summary>
    internal IReadOnlyList<BudgetChange> CountOne(params ReadOnlySpan<LimitDimension> dimensions)
    {
        List<BudgetChange>? counts = null;
        foreach (var dimension in dimensions)
        {
            if (_claimed.Parent is not null || _services.Tree.Counts.IsStored(_path[0], dimension))
                (counts ??= []).Add(new BudgetChange.Count(dimension, 1));
        }

        return counts ?? [];
    }

    /// <summary>Counts one child more on the whole path, or says which node has no room for it.</summary>
    internal LimitDenial? BeginChild() =>
        Limits.CheckChild(History.Children.Values.Count(c => !c.Ended), History.Children.Count, _claimed.Depth)
        ?? _services.Tree.Counts.CheckDepth(_path, _claimed.Depth)
        ?? _services.Tree.Counts.TryBegin(_path, LimitDimension.Children);

    /// <param name="spawned">Whether it began to exist.</param>
    internal void EndChild(bool spawned)
    {
        if (spawned)
            _services.Tree.Counts.Complete(_path, LimitDimension.Children);
        else
            _services.Tree.Counts.Abandon(_path, LimitDimension.Children);
    }

    /// <summary>Whether the run has been at work for too long without a completed step.</summary>
    internal LimitDenial? NoProgressDenial(DateTimeOffset now) => _state.Status == RunStatus.Running ? Limits.NoProgressDenial(_lastProgress, now) : null;

    internal DateTimeOffset LastProgress => _lastProgress;
}
