using Caisson.Contracts;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// When a failed attempt is followed by another: 200 ms, doubled each time up to 60 s, with full jitter. Pure: the
/// caller brings the clock and the dice. Tools, named steps and model calls all go by it.
/// </summary>
public static class RetryPolicy
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    // A provider may ask for a day. Five minutes is as long as a run waits unasked; then it knocks again.
    private static readonly TimeSpan LongestAsked = TimeSpan.FromMinutes(5);

    /// <param name="failures">Failures so far, this one included.</param>
    /// <param name="counted">Those of them that use up attempts: being throttled costs time only.</param>
    /// <param name="elapsed">Since the first attempt began.</param>
    /// <param name="asked">What the other side asked for.</param>
    /// <param name="dice">0 to 1.</param>
    /// <returns>How long to wait, or <c>null</c> when the attempts or the time are used up.</returns>
    public static TimeSpan? Next(RetrySettings settings, int failures, int counted, TimeSpan elapsed, TimeSpan? asked, double dice)
    {
        if (counted >= settings.Attempts)
            return null;

        // The dice come on top of what was asked: all who were told "2 s" must not come back in the same instant.
        var wait = Bounded(asked ?? TimeSpan.Zero, LongestAsked) + BackOff(failures) * dice;
        return elapsed + wait > settings.Elapsed ? null : wait;
    }

    private static TimeSpan BackOff(int failures) =>
        Bounded(First * Math.Pow(2, Math.Clamp(failures - 1, 0, 20)), Longest);

    private static TimeSpan Bounded(TimeSpan value, TimeSpan most) =>
        value < TimeSpan.Zero ? TimeSpan.Zero : value > most ? most : value;
}
