using Caisson.Core.Journal;

namespace Caisson.Core.Verification;

/// <summary>What ends must have begun, and begins and ends once: timers, children, approvals. And each input is taken once.</summary>
internal sealed class PairCheck
{
    private readonly Dictionary<(string What, string Name), Life> _begun = [];
    private readonly Dictionary<string, string> _bindings = new(StringComparer.Ordinal);
    private readonly HashSet<string> _inputs = new(StringComparer.Ordinal);

    /// <param name="Open">Its end may come.</param>
    /// <param name="Again">It may begin once more: the way that it began on was left.</param>
    private readonly record struct Life(long Last, bool Open, bool Again);

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
            case EntryBody.ApprovalRequested asked:
                // Asked again about other files, while nobody had decided.
                var again = _bindings.TryGetValue(entry.Key ?? "", out var last) && last != asked.Binding && _begun.TryGetValue(("approval", entry.Key!), out var open) && open.Open;
                if (!again)
                    Begin(entry, "approval", entry.Key, found);
                _bindings[entry.Key ?? ""] = asked.Binding;
                break;
            case EntryBody.ApprovalDecided { Partial: false }:
                End(entry, "approval", entry.Key, found);
                break;
            case EntryBody.SignalConsumed signal when !_inputs.Add(signal.InputId):
                found.Add(entry.Seq, FindingCode.InputConsumedTwice, $"signal '{signal.Name}' of input '{signal.InputId}' was consumed before");
                break;
        }
    }

    /// <summary>From here on the agent takes another way: what began or ended on the old one may do so again.</summary>
    internal void Branch(long seq)
    {
        foreach (var (name, life) in _begun.Where(life => life.Value.Last >= seq).ToList())
            _begun[name] = life with { Open = true, Again = true };
    }

    private void Begin(JournalEntry entry, string what, string? name, FindingList found)
    {
        if (string.IsNullOrEmpty(name))
            found.Add(entry.Seq, FindingCode.KeyMissing, $"{entry.Kind} names no {what}");
        else if (_begun.TryGetValue((what, name), out var life) && !life.Again)
            found.Add(entry.Seq, FindingCode.AskedTwice, $"{entry.Kind} of {what} {name}, which had begun before");
        else
            _begun[(what, name)] = new Life(entry.Seq, Open: true, Again: false);
    }

    private void End(JournalEntry entry, string what, string? name, FindingList found)
    {
        if (string.IsNullOrEmpty(name))
            found.Add(entry.Seq, FindingCode.KeyMissing, $"{entry.Kind} names no {what}");
        else if (!_begun.TryGetValue((what, name), out var life))
            found.Add(entry.Seq, FindingCode.AnsweredUnasked, $"{entry.Kind} of {what} {name}, which never began");
        else if (!life.Open)
            found.Add(entry.Seq, FindingCode.AnsweredTwice, $"{entry.Kind} of {what} {name}, which had ended before");
        else
            _begun[(what, name)] = new Life(entry.Seq, Open: false, life.Again);
    }
}
