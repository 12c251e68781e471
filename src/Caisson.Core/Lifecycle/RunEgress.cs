using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// What leaves the box of an owned run, as its journal must know it.
/// <para>
/// Problem: a command that wrote only files can be repeated after a crash, one that has sent something cannot, and only
/// the wall of the box sees which it was. States of a step: none under way → under way → left. Invariants: an intent is
/// written only for the step under way, and its entry stands before that step's end in the journal; nobody leaves a step
/// while an intent of it is being written; nothing is sent without one. If this process dies after the intent, the next
/// owner finds the step begun and not ended, and its policy for unknown outcomes decides; if before, nothing has left,
/// and the step is repeated. Decisions are counted, and go to the store with whatever is written next.
/// </para>
/// </summary>
internal sealed class RunEgress(RunSession session, RunServices services) : IEgressLog, IDisposable
{
    /// <summary>Different intents that one attempt journals. The last of them stands for all that follow.</summary>
    private const int MostIntents = 64;
    private const int LongestPath = 300;
    private const int MostTold = 5;
    private static readonly TimeSpan WriteEvery = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly Lock _lock = new();
    private IReadOnlyList<RunEvent> _events = [];
    private List<string> _denials = [];
    private bool _flushing;
    private bool _closed;
    private volatile StepUnderWay? _step;

    private sealed record StepUnderWay(StepCall Call, int Attempt)
    {
        internal HashSet<EgressIntent> Journaled { get; } = [];
    }

    public bool MaySend => session.MaySend && !session.IsReleased;

    /// <summary>From here on what leaves the box is this step's.</summary>
    internal void Enter(StepCall call, int attempt)
    {
        lock (_lock)
            _denials = [];
        _step = new StepUnderWay(call, attempt);
    }

    /// <summary>Nothing more leaves for this step, and what did stands in the journal.</summary>
    /// <returns>What was denied while it was under way, for whoever asked for it.</returns>
    internal async Task<IReadOnlyList<string>> LeaveAsync()
    {
        _step = null;
        await _one.WaitAsync(CancellationToken.None);
        _one.Release();
        lock (_lock)
            return _denials;
    }

    public async ValueTask<bool> IntentAsync(EgressIntent intent, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(intent);
        await _one.WaitAsync(cancellationToken);
        try
        {
            if (_step is not { } step || !MaySend || session.History.Fork is { Effects: not ForkEffects.Live })
                return false;
            if (step.Journaled.Contains(intent) || step.Journaled.Count == MostIntents)
                return true;
            var body = new EntryBody.EgressIntended(step.Call.Subject, intent.Kind, intent.Host, intent.Port, intent.Method,
                intent.Path is { Length: > LongestPath } path ? path[..LongestPath] + "…" : intent.Path, intent.Secret, More: step.Journaled.Count == MostIntents - 1);
            var outcome = await session.WriteAsync(new Unit
            {
                Entries = [new EntryDraft(EntryKind.EgressIntended, body) { Scope = step.Call.Scope, Key = step.Call.Key.Hash, Attempt = step.Attempt }],
                Transition = RunSession.Proceed,
            }, session.Owned);
            if (outcome is not AppendOutcome.Committed)
                return false;
            step.Journaled.Add(intent);
            return MaySend;
        }
        catch (Exception lost) when (lost is OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
        finally
        {
            _one.Release();
        }
    }

    public void Decided(EgressDecision decision)
    {
        ArgumentNullException.ThrowIfNull(decision);
        var now = services.Clock.GetUtcNow();
        var detail = decision.Reason ?? (decision.Secret is null ? decision.Path : $"{decision.Path} with secret {decision.Secret}");
        Add(new RunEvent(RunEvent.Egress, decision.Code, $"{decision.Verb} {decision.Host}:{decision.Port}", 1, 0, 0, now, now, detail));
        if (decision is not { IsDenial: true, Reason: { } reason })
            return;
        lock (_lock)
        {
            if (_denials.Count < MostTold && !_denials.Contains(reason))
                _denials = [.. _denials, reason];
        }
    }

    public void Moved(string host, int port, long sent, long received)
    {
        var now = services.Clock.GetUtcNow();
        Add(new RunEvent(RunEvent.Egress, RunEvent.Moved, $"{host}:{port}", 1, sent, received, now, now, null));
    }

    /// <summary>What the next write brings along; gone from here with it.</summary>
    internal IReadOnlyList<RunEvent> Take()
    {
        lock (_lock)
        {
            var taken = _events;
            _events = [];
            return taken;
        }
    }

    /// <summary>They were not written after all.</summary>
    internal void PutBack(IReadOnlyList<RunEvent> events)
    {
        lock (_lock)
            _events = _events.Aggregate(events, RunEvent.Add);
    }

    /// <summary>Bytes that the run's boxes have moved, those of earlier owners included.</summary>
    internal async Task<long> UsedAsync(CancellationToken cancellationToken)
    {
        var stored = services.Events is { } store ? await store.ReadEventsAsync(session.Run, cancellationToken) : [];
        lock (_lock)
            return stored.Concat(_events).Where(e => e.Kind == RunEvent.Egress).Sum(e => e.Sent + e.Received);
    }

    private void Add(RunEvent happened)
    {
        lock (_lock)
        {
            _events = RunEvent.Add(_events, happened);
            if (_flushing || _closed)
                return;
            _flushing = true;
        }

        _ = services.Tasks.Run(FlushLaterAsync);
    }

    /// <summary>A command may run for an hour before anything else is written.</summary>
    private async Task FlushLaterAsync()
    {
        try
        {
            await services.Tasks.DelayAsync(WriteEvery, services.Clock, session.Owned);
            lock (_lock)
            {
                _flushing = false;
                if (_closed)
                    return;
            }

            await session.WriteAsync(new Unit(), session.Owned);
        }
        catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException)
        {
            // The ownership is over, and with it the right to write.
        }
    }

    public void Dispose()
    {
        lock (_lock)
            _closed = true;
        _step = null;
    }
}
