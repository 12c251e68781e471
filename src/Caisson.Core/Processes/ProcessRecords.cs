using System.Collections.Immutable;
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
    private readonly Dictionary<string, TaskCompletionSource<EntryBody.ApprovalDecided>> _decisions = new(StringComparer.Ordinal);
    private ImmutableList<StepRecord> _calls = [];

    /// <summary>Completed steps, in the journal's order.</summary>
    internal IReadOnlyList<StepRecord> Calls => Volatile.Read(ref _calls);

    internal void Add(Arrival arrival)
    {
        if (arrival.Body is EntryBody.ApprovalDecided decided)
        {
            lock (_lock)
                DecisionNeedsLock(arrival.Key!).TrySetResult(decided);
            return;
        }

        var record = arrival.Body switch
        {
            EntryBody.StepCompleted completed => new StepRecord(arrival.Seq, new StepKey(arrival.Key!), completed.Step, arrival.Payload, completed.Failure, completed.Workspace),
            EntryBody.StepResolved resolved => new StepRecord(arrival.Seq, new StepKey(arrival.Key!), resolved.Step, arrival.Payload, resolved.Failure, null),
            _ => null,
        };
        if (record is null)
            return;
        lock (_lock)
        {
            _steps[arrival.Key!] = record;
            Volatile.Write(ref _calls, _calls.Add(record));
        }
    }

    internal StepRecord? Find(StepKey key)
    {
        lock (_lock)
            return _steps.GetValueOrDefault(key.Hash);
    }

    /// <summary>What people decided under this key; of a question asked twice, the first time.</summary>
    internal Task<EntryBody.ApprovalDecided> DecisionAsync(string key)
    {
        lock (_lock)
            return DecisionNeedsLock(key).Task;
    }

    private TaskCompletionSource<EntryBody.ApprovalDecided> DecisionNeedsLock(string key) =>
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
}
