namespace Caisson.Core.Loops;

internal enum LoopLevel
{
    None = 0,
    Warn = 1,
    Act = 2,
}

/// <param name="Signal"><c>repeat</c>: one call again and again; <c>cycle</c>: a few calls in turn.</param>
/// <param name="Count">How often it came in a row.</param>
/// <param name="Period">Calls in one round: 1 for a repeat.</param>
internal sealed record LoopVerdict(LoopLevel Level, string Signal, string Tool, int Count, int Period)
{
    internal static readonly LoopVerdict None = new(LoopLevel.None, "", "", 0, 0);
}

/// <summary>
/// Sees exact repeats: the same call with the same result in a row, or a cycle of two to eight such calls. A result
/// that differs breaks the repeat, so polling that makes progress is never stopped. Pure but for its own ring.
/// </summary>
internal sealed class LoopGuard(int repeatsToAct)
{
    private const int RingSize = 64;
    private const int LongestCycle = 8;
    private const int RepeatsToWarn = 3;
    private const int CyclesToWarn = 2;
    private const int CyclesToAct = 4;

    private readonly List<(string Tool, string Signature, string Result)> _ring = [];
    private int _run;

    /// <summary>May be raised while the run goes on.</summary>
    internal int RepeatsToAct { get; set; } = repeatsToAct;

    internal LoopVerdict Verdict { get; private set; } = LoopVerdict.None;

    internal void Reset()
    {
        _ring.Clear();
        _run = 0;
        Verdict = LoopVerdict.None;
    }

    /// <param name="signature">Hash of tool and arguments.</param>
    /// <param name="result">Hash of what came back, the state of the workspace included.</param>
    internal LoopVerdict Observe(string tool, string signature, string result)
    {
        var turn = (tool, signature, result);
        _run = _ring.Count > 0 && _ring[^1] == turn ? _run + 1 : 1;
        _ring.Add(turn);
        if (_ring.Count > RingSize)
            _ring.RemoveAt(0);

        Verdict = Judge(tool);
        return Verdict;
    }

    private LoopVerdict Judge(string tool)
    {
        if (_run >= Math.Min(RepeatsToWarn, RepeatsToAct))
            return new LoopVerdict(_run >= RepeatsToAct ? LoopLevel.Act : LoopLevel.Warn, "repeat", tool, _run, 1);
        for (var period = 2; period <= LongestCycle; period++)
        {
            var rounds = Rounds(period);
            if (rounds >= CyclesToWarn)
                return new LoopVerdict(rounds >= CyclesToAct ? LoopLevel.Act : LoopLevel.Warn, "cycle", tool, rounds, period);
        }

        return LoopVerdict.None;
    }

    /// <summary>How many whole rounds of this period stand at the ring's end, the first included.</summary>
    private int Rounds(int period)
    {
        var matched = 0;
        while (matched + period < _ring.Count && _ring[_ring.Count - 1 - matched] == _ring[_ring.Count - 1 - matched - period])
            matched++;

        // A run of equal turns is a repeat, which has its own row and threshold.
        return matched < period || _run > 1 ? 0 : matched / period + 1;
    }
}
