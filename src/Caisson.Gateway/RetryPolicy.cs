using Caisson.Contracts;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway;

/// <summary>When a failed call is tried again. Pure: its caller brings the clock and the dice.</summary>
internal static class RetryPolicy
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    // A provider may ask for a day. Five minutes is as long as a run waits unasked; then it knocks again.
    private static readonly TimeSpan LongestAsked = TimeSpan.FromMinutes(5);

    /// <param name="failures">Failures so far, this one included.</param>
    /// <param name="counted">Those of them that use up attempts.</param>
    /// <param name="elapsed">Time since the first attempt.</param>
    /// <param name="dice">0 to 1.</param>
    /// <returns>How long to wait, or <c>null</c> to give up.</returns>
    public static TimeSpan? Next(RetrySettings settings, UpstreamReply.Failed failed, int failures, int counted, TimeSpan elapsed, double dice)
    {
        if (failed.Retry == RetryClass.Never || (failed.Retry == RetryClass.Counted && counted >= settings.Attempts))
            return null;
        var backOff = BackOff(failures) * dice;
        var asked = failed.RetryAfter is { } after && after > TimeSpan.Zero ? Min(after, LongestAsked) : TimeSpan.Zero;
        // The dice come on top of what was asked: all who were told "2 s" must not come back in the same instant.
        var wait = asked + backOff;
        return elapsed + wait > settings.Elapsed ? null : wait;
    }

    private static TimeSpan BackOff(int failures) =>
        Min(Longest, First * Math.Pow(2, Math.Min(failures - 1, 20)));

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
