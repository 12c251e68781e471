using Caisson.Core.Journal;
using Caisson.Gateway.Wires;

namespace Caisson.Gateway.Processes;

/// <summary>How a request was found among what is recorded.</summary>
internal enum ReplayLevel
{
    /// <summary>The same request, up to the order of its keys and what the gateway itself adds.</summary>
    L0 = 0,
    /// <summary>The same but for hints that do not change the answer, and ids that the client minted.</summary>
    L1 = 1,
    /// <summary>The same but for times and ids, exchanged one to one.</summary>
    L2 = 2,
    /// <summary>The same but for the results of tools.</summary>
    L3 = 3,
}

internal sealed record RecordedCall(StepRecord Record, RecordedExchange Exchange);

internal sealed record ReplayHit(RecordedCall Call, ReplayLevel Level);

/// <summary>
/// What one start of a program may still be answered from the journal.
/// <para>
/// A multiset, not a sequence: clients call side by side. A record answers once in each start. A looser level answers
/// only where exactly one record fits, or where one alone continues a conversation that was already recognised. Sub-agents
/// whose prompts differ by one id must not swap their answers, also where only one of them is recorded: so until a
/// conversation is recognised its ids stand for themselves, and from then on for what they stood for when it was.
/// </para>
/// </summary>
internal sealed class ReplayPool
{
    private readonly Lock _lock = new();
    private readonly string _input;

    // The last entry that an earlier start may have asked for: what comes later is of this one.
    private readonly long _before;
    private readonly List<RecordedCall> _open;

    // The conversations that were recognised, each up to where it was.
    private readonly HashSet<string> _recognised = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _forward = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _back = new(StringComparer.Ordinal);

    /// <param name="input">Of the run. What changes and stands in it is the task itself: it stands for nothing else.</param>
    public ReplayPool(IEnumerable<StepRecord> records, string input)
    {
        (_input, _open) = (input, []);
        foreach (var record in records)
        {
            Add(record);
            _before = record.Seq;
        }
    }

    /// <summary>Records that nothing asked for yet.</summary>
    public int Left
    {
        get
        {
            lock (_lock)
                return _open.Count;
        }
    }

    /// <summary>The record that answers this request; from here on it answers no other.</summary>
    public ReplayHit? Take(string wire, MatchKeys keys)
    {
        lock (_lock)
        {
            foreach (var level in Enum.GetValues<ReplayLevel>())
            {
                var fitting = _open.Where(c => c.Exchange.Wire == wire && Fits(level, c.Exchange.Match, keys)).ToList();
                if (One(fitting) is not { } found)
                    continue;
                _open.Remove(found);
                Recognise(found.Exchange.Match, keys);
                return new ReplayHit(found, level);
            }

            return null;
        }
    }

    /// <summary>
    /// A record of an earlier start that this request parts from: of its own conversation, no longer than it, and not asked for yet. A
    /// conversation is told from its beginning, so one that goes where it went has used up all that is shorter. What no
    /// record answers because its call was under way when the last start ended, parts from nothing.
    /// </summary>
    public RecordedCall? Parted(string wire, string conversation, MatchKeys keys)
    {
        lock (_lock)
            return _open.FirstOrDefault(c => c.Record.Seq <= _before && c.Exchange.Wire == wire && c.Exchange.Conversation == conversation && c.Exchange.Match.Prefixes.Count <= keys.Prefixes.Count);
    }

    /// <summary>One more record that nobody was answered by.</summary>
    public void Add(StepRecord record)
    {
        if (record.Failure is not null || RecordedExchange.Decode(record.Result.Span) is not { } exchange)
            return;
        lock (_lock)
            _open.Add(new RecordedCall(record, exchange));
    }

    /// <summary>It was not delivered: the client went away in the middle, and may ask again.</summary>
    public void GiveBack(RecordedCall call)
    {
        lock (_lock)
            _open.Insert(0, call);
    }

    /// <summary>Of calls that are equal to the byte the first; otherwise one alone, or the one that goes on where this start is.</summary>
    private RecordedCall? One(List<RecordedCall> fitting)
    {
        if (fitting.Count <= 1 || fitting.All(c => c.Exchange.Match.L0 == fitting[0].Exchange.Match.L0))
            return fitting.FirstOrDefault();
        var next = fitting.Where(c => Continues(c.Exchange.Match)).ToList();
        return next is [var only] ? only : null;
    }

    private bool Fits(ReplayLevel level, MatchKeys was, MatchKeys now) => level switch
    {
        ReplayLevel.L0 => was.L0 == now.L0,
        ReplayLevel.L1 => was.L1 == now.L1,
        ReplayLevel.L2 => was.L2 == now.L2 && Maps(was, now),
        ReplayLevel.L3 => was.L3 == now.L3 && Continues(was) && CarriesOn(was, now),
        _ => false,
    };

    /// <summary>Whether it goes on from a request that was recognised.</summary>
    private bool Continues(MatchKeys keys) => keys.Prefixes.SkipLast(1).Any(_recognised.Contains);

    /// <summary>Whether the one's changing words can stand for the other's, one to one and as earlier requests of this start had it.</summary>
    private bool Maps(MatchKeys was, MatchKeys now)
    {
        if (was.Volatile.Count != now.Volatile.Count)
            return false;
        var isKnown = Continues(was);
        var (forward, back) = (new Dictionary<string, string>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal));
        foreach (var (from, to) in was.Volatile.Zip(now.Volatile))
        {
            if (from != to && (IsTask(from) || IsTask(to) || (!isKnown && (IsId(from) || IsId(to)))))
                return false;
            if ((Known(_forward, forward, from) ?? to) != to || (Known(_back, back, to) ?? from) != from)
                return false;
            (forward[from], back[to]) = (to, from);
        }

        return true;

        static string? Known(Dictionary<string, string> settled, Dictionary<string, string> here, string word) =>
            settled.GetValueOrDefault(word) ?? here.GetValueOrDefault(word);
    }

    /// <summary>Whether the ids by which the record's conversation was recognised are this one's: another conversation has its own.</summary>
    private bool CarriesOn(MatchKeys was, MatchKeys now) =>
        was.Volatile.Where(IsId).All(id => !_forward.TryGetValue(id, out var known) || now.Volatile.Contains(known));

    private bool IsTask(string word) => _input.Contains(word, StringComparison.Ordinal);

    /// <summary>Times change between two starts, and nobody is told apart by them; ids tell apart.</summary>
    private static bool IsId(string word) => Guid.TryParse(word, out _);

    private void Recognise(MatchKeys was, MatchKeys now)
    {
        if (was.Prefixes is [.., var whole])
            _recognised.Add(whole);
        if (was.Volatile.Count != now.Volatile.Count)
            return;
        foreach (var (from, to) in was.Volatile.Zip(now.Volatile))
            (_forward[from], _back[to]) = (to, from);
    }
}
