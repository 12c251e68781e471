using System.Collections.Immutable;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;

namespace Caisson.Core.Processes;

/// <summary>
/// What is recorded of a program's calls. They have no order of their own: clients call side by side, so each is known by
/// what it asks and how often that was asked before.
/// </summary>
internal sealed class ProcessRecords
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _asked = new(StringComparer.Ordinal);
    private readonly Dictionary<string, StepRecord> _steps = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<Signal>> _signals = new(StringComparer.Ordinal);
    private readonly HashSet<string> _fired = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _children = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ChildOutcome?> _outcomes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TaskCompletionSource<EntryBody.ApprovalDecided>> _decisions = new(StringComparer.Ordinal);
    private ImmutableList<StepRecord> _calls = [];
    private TaskCompletionSource _changed = New();

    /// <summary>Completed steps, in the journal's order.</summary>
    internal IReadOnlyList<StepRecord> Calls => Volatile.Read(ref _calls);

    /// <summary>Completes at the next record. Take it before looking.</summary>
    internal Task Changed
    {
        get
        {
            lock (_lock)
                return _changed.Task;
        }
    }

    internal void Add(Arrival arrival)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            Take_NeedsLock(arrival);
            (changed, _changed) = (_changed, New());
        }

        changed.SetResult();
    }

    private void Take_NeedsLock(Arrival arrival)
    {
        var key = arrival.Key ?? "";
        switch (arrival.Body)
        {
            case EntryBody.StepCompleted completed:
                var record = _steps[key] = new StepRecord(arrival.Seq, new StepKey(key), completed.Step, arrival.Payload, completed.Failure, completed.Workspace);
                Volatile.Write(ref _calls, _calls.Add(record));
                break;
            case EntryBody.StepResolved resolved:
                _steps[key] = new StepRecord(arrival.Seq, new StepKey(key), resolved.Step, arrival.Payload, resolved.Failure, null);
                break;
            case EntryBody.ApprovalDecided decided:
                Decision_NeedsLock(key).TrySetResult(decided);
                break;
            case EntryBody.SignalConsumed signal:
                if (!_signals.TryGetValue(signal.Name, out var signals))
                    _signals[signal.Name] = signals = [];
                signals.Add(new Signal(signal.Name, signal.Payload, signal.By));
                break;
            case EntryBody.TimerFired:
                _fired.Add(key);
                break;
            case EntryBody.ChildSpawned spawned:
                _children[key] = spawned.Child;
                _outcomes.TryAdd(spawned.Child, null);
                break;
            case EntryBody.ChildEnded ended:
                _outcomes[ended.Child] = new ChildOutcome(ended.Status, ended.Result, ended.Failure);
                break;
        }
    }

    internal StepRecord? Find(StepKey key)
    {
        lock (_lock)
            return _steps.GetValueOrDefault(key.Hash);
    }

    /// <summary>Whether the time that was waited for under this key has come.</summary>
    internal bool IsFired(StepKey key)
    {
        lock (_lock)
            return _fired.Contains(key.Hash);
    }

    /// <summary>
    /// The signal that answers the nth wait for its name: the first that no wait before it takes. A wait whose time ran out
    /// takes none, in every start alike.
    /// </summary>
    /// <param name="waits">Keys of the waits for this name, up to this one.</param>
    internal Signal? SignalOf(string name, IReadOnlyList<StepKey> waits)
    {
        lock (_lock)
        {
            if (!_signals.TryGetValue(name, out var signals) || _fired.Contains(waits[^1].Hash))
                return null;
            var index = -1;
            foreach (var wait in waits)
                index += _fired.Contains(wait.Hash) ? 0 : 1;
            return index < signals.Count ? signals[index] : null;
        }
    }

    /// <summary>The run that was spawned under this key.</summary>
    internal string? ChildOf(StepKey key)
    {
        lock (_lock)
            return _children.GetValueOrDefault(key.Hash);
    }

    /// <returns>Whether it is a child of this run; and how it ended, where it has.</returns>
    internal (bool IsChild, ChildOutcome? Outcome) OutcomeOf(string child)
    {
        lock (_lock)
            return (_outcomes.TryGetValue(child, out var outcome), outcome);
    }

    /// <summary>What people decided under this key; of a question asked twice, the first time.</summary>
    internal Task<EntryBody.ApprovalDecided> DecisionAsync(string key)
    {
        lock (_lock)
            return Decision_NeedsLock(key).Task;
    }

    private TaskCompletionSource<EntryBody.ApprovalDecided> Decision_NeedsLock(string key) =>
        _decisions.TryGetValue(key, out var known) ? known : _decisions[key] = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The first key of this identity that no completed call has and that was not given away since.</summary>
    internal StepKey Next(string identity)
    {
        lock (_lock)
        {
            for (var nth = _asked.GetValueOrDefault(identity); ; nth++)
            {
                var key = new StepKey(StepHash.Of("model", "", identity, nth.ToString(System.Globalization.CultureInfo.InvariantCulture)));
                if (_steps.ContainsKey(key.Hash))
                    continue;
                _asked[identity] = nth + 1;
                return key;
            }
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
