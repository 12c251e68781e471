using Caisson.Core.Journal;

namespace Caisson.Core.Verification;

/// <summary>What ends must have begun, and begins and ends once: timers, children, approvals. And each input is taken once.</summary>
internal sealed class PairCheck
{
    // Whether each one that began has ended.
    private readonly Dictionary<(string What, string Name), bool> _begun = [];
    private readonly HashSet<string> _inputs = new(StringComparer.Ordinal);

    internal void Add(JournalEntry entry, EntryBody body, FindingList found)
    {
        switch (body)
        {
            case EntryBody.TimerSet:
                Begin(entry, "timer", entry.Key, found);
                break;
            case EntryBody.TimerFired:
                End(entry, "timer", entry.Key, found);
                break;
            case EntryBody.ChildSpawned spawned:
                Begin(entry, "child", spawned.Child, found);
                break;
            case EntryBody.ChildEnded ended:
                End(entry, "child", ended.Child, found);
                break;
            case EntryBody.ApprovalRequested:
                Begin(entry, "approval", entry.Key, found);
                break;
            case EntryBody.ApprovalDecided { Partial: false }:
                End(entry, "approval", entry.Key, found);
                break;
            case EntryBody.SignalConsumed signal when !_inputs.Add(signal.InputId):
                found.Add(entry.Seq, FindingCode.InputConsumedTwice, $"signal '{signal.Name}' of input '{signal.InputId}' was consumed before");
                break;
        }
    }

    private void Begin(JournalEntry entry, string what, string? name, FindingList found)
    {
        if (string.IsNullOrEmpty(name))
            found.Add(entry.Seq, FindingCode.KeyMissing, $"{entry.Kind} names no {what}");
        else if (!_begun.TryAdd((what, name), false))
            found.Add(entry.Seq, FindingCode.AskedTwice, $"{entry.Kind} of {what} {name}, which had begun before");
    }

    private void End(JournalEntry entry, string what, string? name, FindingList found)
    {
        if (string.IsNullOrEmpty(name))
            found.Add(entry.Seq, FindingCode.KeyMissing, $"{entry.Kind} names no {what}");
        else if (!_begun.TryGetValue((what, name), out var ended))
            found.Add(entry.Seq, FindingCode.AnsweredUnasked, $"{entry.Kind} of {what} {name}, which never began");
        else if (ended)
            found.Add(entry.Seq, FindingCode.AnsweredTwice, $"{entry.Kind} of {what} {name}, which had ended before");
        else
            _begun[(what, name)] = true;
    }
}
