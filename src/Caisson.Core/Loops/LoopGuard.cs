namespace Caisson.Core.Loops;

/// <summary>
/// Sees an agent that goes round in circles, in one conversation.
/// <para>
/// Problem: a model that is stuck makes the same calls again and pays for each. But looking twice, polling and trying
/// again are honest work, and a guard that stops them is worse than none. So calls are compared with their results and
/// with the files they left, only exact repeats act by default, and whatever is new starts the counts again.
/// </para>
/// <para>
/// A <i>turn</i> is one tool call: tool, signature (hash of tool and arguments), result (hash of what came back),
/// whether it failed, and the workspace root that stands after it. Two turns are equal only if all of it is.
/// </para>
/// <list type="table">
/// <item><c>repeat</c>: equal turns in a row. <c>cycle</c>: two to eight turns again and again in whole rounds. Any other
/// turn ends both, so nothing needs to reset them: a new root or a new result makes a turn that equals none before it.</item>
/// <item><c>error</c>: failed turns with the same result in a row, whatever was called. A turn that did not fail ends
/// it; so does progress.</item>
/// <item><c>stale</c>: turns since the last one that was new: a signature with a result, or a root, not seen before.</item>
/// <item><c>same_call</c>: results of one signature, each other than the one before it. Calls between them do not end
/// it, and a wait longer than all before it is not counted. Its own new results cannot reset it, they are what it
/// counts: what does is new ground.</item>
/// <item><c>request</c>: equal requests to the model in a row; progress ends it. <c>rate</c>: requests per minute.</item>
/// <item><c>stream</c>: rounds of one passage within one answer (<see cref="StreamRepeats"/>); it has no count to reset.</item>
/// </list>
/// <para>
/// <i>Progress</i> is a root not seen before in the run, or a result not seen before for its signature from a call that
/// did not fail. <i>New ground</i> is a root not seen before, or the first call of a signature if it did not fail.
/// Calls of exempt tools are not looked at, but the root that they leave is. "Seen" reaches back over the last 256.
/// </para>
/// <para>
/// Pure: the same observations give the same verdicts, so a replay comes to the same counts, if the times are those of
/// the journal. Memory is bounded.
/// </para>
/// </summary>
internal sealed class LoopGuard(LoopThresholds thresholds)
{
    private const int LongestCycle = 8;
    private const int Remembered = 256;
    private const int Polled = 64;

    private readonly List<Turn> _last = [];

    /// <summary>By period: how many turns up to the last one equal the turn so many before them.</summary>
    private readonly int[] _matched = new int[LongestCycle + 1];
    private readonly Seen _roots = new(Remembered);
    private readonly Seen _results = new(Remembered);
    private readonly Seen _calls = new(Remembered);
    private readonly Polls _polls = new(Polled);
    private readonly MinuteWindow _minute = new();
    private readonly Latch _repeatLatch = new();
    private readonly Latch _cycleLatch = new();
    private readonly Latch _requestLatch = new();
    private readonly Latch _errorLatch = new();
    private readonly Latch _staleLatch = new();
    private readonly Latch _rateLatch = new();
    private LoopThresholds _thresholds = thresholds;
    private string? _root;
    private string? _error;
    private string? _request;
    private int _errors;
    private int _stale;
    private int _requests;

    /// <summary>For a caller that gives neither failures nor times.</summary>
    internal LoopGuard(int repeatsToAct) : this(LoopThresholds.Default with { Repeat = LoopThresholds.Default.Repeat with { Act = repeatsToAct } })
    {
    }

    /// <summary>May be raised while the run goes on.</summary>
    internal int RepeatsToAct
    {
        get => _thresholds.Repeat.Act;
        set => _thresholds = _thresholds with { Repeat = _thresholds.Repeat with { Act = value } };
    }

    internal LoopVerdict Verdict { get; private set; } = LoopVerdict.None;

    /// <summary>Forgets everything: a person has looked at the run and let it go on.</summary>
    internal void Reset()
    {
        _last.Clear();
        Array.Clear(_matched);
        foreach (var seen in new[] { _roots, _results, _calls })
            seen.Clear();
        _polls.Clear();
        _minute.Clear();
        foreach (var latch in new[] { _repeatLatch, _cycleLatch, _requestLatch, _errorLatch, _staleLatch, _rateLatch })
            latch.Clear();
        (_root, _error, _request) = (null, null, null);
        (_errors, _stale, _requests) = (0, 0, 0);
        Verdict = LoopVerdict.None;
    }

    /// <summary>Exact repeats only.</summary>
    /// <param name="signature">Hash of tool and arguments.</param>
    /// <param name="result">Hash of what came back, the state of the workspace included.</param>
    internal LoopVerdict Observe(string tool, string signature, string result)
    {
        Take(new Turn(tool, signature, result, Failed: false, Root: null));
        return Verdict = Worst(Repeat(tool), Cycle(tool));
    }

    /// <param name="signature">Hash of tool and arguments.</param>
    /// <param name="result">Hash of what came back, without the workspace.</param>
    /// <param name="workspaceRoot">What the call left, or <c>null</c> where it changed nothing.</param>
    /// <param name="at">As the journal has it.</param>
    internal LoopVerdict Observe(string tool, string signature, string result, bool failed, string? workspaceRoot, DateTimeOffset at)
    {
        var newRoot = workspaceRoot is { } root && root != _root && _roots.Add(Seen.Key(root));
        _root = workspaceRoot ?? _root;
        if (_thresholds.Exempt.Contains(tool))
        {
            if (newRoot)
                Progress(newGround: true);
            return Verdict = LoopVerdict.None;
        }

        var call = Seen.Key(signature);
        var answer = Seen.Key(signature, result, failed ? "failed" : "");
        var newCall = _calls.Add(call);
        var newResult = _results.Add(answer);
        if (newRoot || (newResult && !failed))
            Progress(newGround: newRoot || newCall);

        Take(new Turn(tool, signature, result, failed, _root));
        _stale = newRoot || newResult ? 0 : _stale + 1;
        _errors = !failed ? 0 : result == _error ? _errors + 1 : 1;
        _error = failed ? result : null;
        var (polls, pollLatch) = _polls.Add(call, answer, at);
        return Verdict = Worst(
            Repeat(tool),
            Guess(_thresholds.SameCall, LoopSignals.SameCall, tool, polls, pollLatch),
            Cycle(tool),
            Guess(_thresholds.Error, LoopSignals.Error, tool, _errors, _errorLatch),
            Guess(_thresholds.Stale, LoopSignals.Stale, tool, _stale, _staleLatch));
    }

    /// <summary>One request to the model.</summary>
    /// <param name="request">Hash of its body.</param>
    /// <param name="conversations">Conversations of the run that share this guard: so many times the rate is allowed.</param>
    internal LoopVerdict ObserveRequest(string request, DateTimeOffset at, int conversations = 1)
    {
        _requests = request == _request ? _requests + 1 : 1;
        _request = request;
        return Verdict = Worst(
            Exact(_thresholds.Request, LoopSignals.Request, "", _requests, 1, _requestLatch),
            Guess(_thresholds.Rate.Times(Math.Max(1, conversations)), LoopSignals.Rate, "", _minute.Add(at), _rateLatch));
    }

    /// <summary>One answer of the model.</summary>
    internal LoopVerdict ObserveAnswer(string text)
    {
        var rounds = StreamRepeats.Of(text);
        return Verdict = Judge(_thresholds.Stream, LoopSignals.Stream, "", rounds, 1, warns: rounds >= _thresholds.Stream.FirstWarning);
    }

    private void Progress(bool newGround)
    {
        // The next error and the next request are the first of theirs again.
        (_error, _request) = (null, null);
        _stale = 0;
        if (newGround)
            _polls.Clear();
    }

    private void Take(Turn turn)
    {
        for (var period = 1; period <= LongestCycle; period++)
            _matched[period] = _last.Count >= period && _last[^period] == turn ? _matched[period] + 1 : 0;
        _last.Add(turn);
        if (_last.Count > LongestCycle)
            _last.RemoveAt(0);
    }

    private LoopVerdict Repeat(string tool) => Exact(_thresholds.Repeat, LoopSignals.Repeat, tool, _matched[1] + 1, 1, _repeatLatch);

    private LoopVerdict Cycle(string tool)
    {
        var (rounds, period) = (0, 1);
        for (var candidate = 2; candidate <= LongestCycle; candidate++)
        {
            // A run of equal turns is a repeat, which has its own row. Whole rounds count, the first of them included:
            // it has nothing before it that it could match.
            var whole = _matched[1] > 0 || _matched[candidate] < candidate ? 0 : _matched[candidate] / candidate + 1;
            if (whole > rounds)
                (rounds, period) = (whole, candidate);
        }

        return Exact(_thresholds.Cycle, LoopSignals.Cycle, tool, rounds, period, _cycleLatch);
    }

    /// <summary>Warns at every turn from the first warning to the act, which is not far.</summary>
    private static LoopVerdict Exact(LoopRule rule, string signal, string tool, int count, int period, Latch latch) =>
        rule.Acts ? Judge(rule, signal, tool, count, period, warns: count >= rule.FirstWarning) : Guess(rule, signal, tool, count, latch, period);

    private static LoopVerdict Guess(LoopRule rule, string signal, string tool, int count, Latch latch, int period = 1) =>
        Judge(rule, signal, tool, count, period, latch.Opens(count, rule.FirstWarning));

    private static LoopVerdict Judge(LoopRule rule, string signal, string tool, int count, int period, bool warns) =>
        rule.Acts && count >= rule.Act ? new LoopVerdict(LoopLevel.Act, signal, tool, count, period)
        : warns ? new LoopVerdict(LoopLevel.Warn, signal, tool, count, period)
        : LoopVerdict.None;

    /// <summary>Of equal levels the first.</summary>
    private static LoopVerdict Worst(params ReadOnlySpan<LoopVerdict> verdicts)
    {
        var worst = LoopVerdict.None;
        foreach (var verdict in verdicts)
        {
            if (verdict.Level > worst.Level)
                worst = verdict;
        }

        return worst;
    }

    private sealed record Turn(string Tool, string Signature, string Result, bool Failed, string? Root);
}
