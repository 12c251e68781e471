using Caisson.Contracts;

namespace Caisson.Core.Lifecycle;

/// <summary>When a failed attempt is followed by another: 200 ms, doubled each time up to 60 s, with full jitter.</summary>
public static class RetryPolicy
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);

    /// <param name="attempt">Attempts made that count; 0 where only throttled ones were made.</param>
    /// <param name="elapsed">Since the first attempt began.</param>
    /// <param name="retryAfter">What the other side asked for; the wait is never shorter.</param>
    /// <returns>How long to wait, or <c>null</c> when the attempts or the time are used up.</returns>
    public static TimeSpan? Next(RetrySettings settings, int attempt, TimeSpan elapsed, TimeSpan? retryAfter, Random random)
    {
        if (attempt >= settings.Attempts)
            return null;
        var ceiling = TimeSpan.FromTicks(Math.Min(Longest.Ticks, First.Ticks << Math.Clamp(attempt - 1, 0, 20)));

        // Full jitter: a crowd that failed together does not come back together.
        var wait = ceiling * random.NextDouble();
        if (retryAfter > wait)
            wait = retryAfter.Value;
        return elapsed + wait > settings.Elapsed ? null : wait;
    }
}
