using System.Globalization;
using Caisson.Core.Journal;

namespace Caisson.Core.Loops;

/// <summary>The last so many things that were seen; older ones count as new again.</summary>
internal sealed class Seen(int most)
{
    private readonly Dictionary<UInt128, long> _last = [];
    private long _turn;

    /// <summary>Whether it is new. Seen again, it is the youngest.</summary>
    internal bool Add(UInt128 key)
    {
        var isNew = !_last.ContainsKey(key);
        _last[key] = ++_turn;
        if (_last.Count > most)
            _last.Remove(_last.MinBy(entry => entry.Value).Key);
        return isNew;
    }

    internal void Clear() => _last.Clear();

    /// <summary>Half of a hash: a guard remembers hundreds, in each of hundreds of runs.</summary>
    internal static UInt128 Key(params ReadOnlySpan<string> fields) =>
        UInt128.Parse(StepHash.Of(fields).AsSpan(0, 32), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

/// <summary>
/// Calls of one signature whose result keeps changing: polling. A wait longer than all before it does not count, so an
/// agent that backs off, in whatever steps, is left alone.
/// </summary>
internal sealed class Polls(int most)
{
    private readonly Dictionary<UInt128, Poll> _polls = [];

    /// <summary>How many of this call's results in turn were others, the first included, waits that grow left out.</summary>
    internal (int Count, Latch Latch) Add(UInt128 call, UInt128 result, DateTimeOffset at)
    {
        if (!_polls.TryGetValue(call, out var poll))
        {
            if (_polls.Count == most)
                _polls.Remove(_polls.MinBy(entry => entry.Value.At).Key);
            _polls[call] = poll = new Poll { Result = result, At = at, Count = 1 };
            return (1, poll.Latch);
        }

        var gap = at - poll.At;
        var grows = poll.LongestGap is { } longest && gap > longest;
        if (result != poll.Result && !grows)
            poll.Count++;
        if (grows || poll.LongestGap is null)
            poll.LongestGap = gap;
        (poll.Result, poll.At) = (result, at);
        return (poll.Count, poll.Latch);
    }

    internal void Clear() => _polls.Clear();

    private sealed class Poll
    {
        internal Latch Latch { get; } = new();
        internal UInt128 Result { get; set; }
        internal DateTimeOffset At { get; set; }
        internal TimeSpan? LongestGap { get; set; }
        internal int Count { get; set; }
    }
}

/// <summary>Lets a warning through at its threshold and then each time that the count has doubled, not at every call.</summary>
internal sealed class Latch
{
    private int _spoken;

    internal bool Opens(int count, int threshold)
    {
        // Half of it, so that a rate which hovers at its threshold does not warn at every second call.
        if (count <= threshold / 2)
            _spoken = 0;
        if (count < threshold || count < 2L * _spoken)
            return false;
        _spoken = count;
        return true;
    }

    internal void Clear() => _spoken = 0;
}

/// <summary>Events of the last minute, counted by the second.</summary>
internal sealed class MinuteWindow
{
    private const int Seconds = 60;

    private readonly int[] _counts = new int[Seconds];
    private long _second = long.MinValue;

    /// <summary>Counts one, and answers how many there were within the minute up to it.</summary>
    internal int Add(DateTimeOffset at)
    {
        // A clock that is set back does not empty the window.
        var second = Math.Max(_second, at.ToUnixTimeSeconds());
        for (var gone = Math.Max(_second + 1, second - Seconds + 1); gone <= second; gone++)
            _counts[Slot(gone)] = 0;
        _second = second;
        _counts[Slot(second)]++;
        return _counts.Sum();
    }

    internal void Clear()
    {
        Array.Clear(_counts);
        _second = long.MinValue;
    }

    private static int Slot(long second) => (int)(((second % Seconds) + Seconds) % Seconds);
}
