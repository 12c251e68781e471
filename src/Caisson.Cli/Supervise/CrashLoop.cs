namespace Caisson.Cli.Supervise;

/// <summary>
/// A server that dies is started again at once: nobody should wait because of one crash. Only one that dies again and
/// again is held back, a little longer each time. A server that was killed from outside while it served is no such
/// case, however often it happens.
/// </summary>
internal sealed class CrashLoop
{
    /// <summary>So many deaths within <see cref="Window"/> of running time begin the back-off. Pauses do not count as running.</summary>
    internal const int FreeDeaths = 5;
    internal static readonly TimeSpan Window = TimeSpan.FromSeconds(10);
    internal static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    private readonly Queue<TimeSpan> _deaths = [];
    private TimeSpan _running;

    /// <param name="lived">How long the server ran.</param>
    /// <param name="killedWhileServing">It was ready, and SIGKILL came.</param>
    /// <returns>How long to wait before the next start.</returns>
    internal TimeSpan Died(TimeSpan lived, bool killedWhileServing)
    {
        _running += lived;
        while (_deaths.TryPeek(out var first) && _running - first > Window)
            _deaths.Dequeue();
        if (killedWhileServing)
            return TimeSpan.Zero;
        _deaths.Enqueue(_running);
        if (_deaths.Count < FreeDeaths)
            return TimeSpan.Zero;
        var pause = FirstPause * Math.Pow(2, Math.Min(_deaths.Count - FreeDeaths, 10));
        return pause < LongestPause ? pause : LongestPause;
    }
}
