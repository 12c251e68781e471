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
    private ImmutableList<StepRecord> _calls = [];

    /// <summary>Completed steps, in the journal's order.</summary>
    internal IReadOnlyList<StepRecord> Calls => Volatile.Read(ref _calls);

    internal void Add(Arrival arrival)
    {
        if (arrival.Body is not EntryBody.StepCompleted completed)
            return;
        var record = new StepRecord(arrival.Seq, new StepKey(arrival.Key!), completed.Step, arrival.Payload, completed.Failure, completed.Workspace);
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
