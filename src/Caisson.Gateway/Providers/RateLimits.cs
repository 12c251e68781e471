using System.Globalization;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;

namespace Caisson.Gateway.Providers;

/// <summary>
/// How long a provider that is busy wants to be left alone, from the headers of its refusal: <c>Retry-After</c>, else the
/// reset of each limit of which nothing remains (<c>x-ratelimit-…</c> as a duration, <c>anthropic-ratelimit-…</c> as a time).
/// </summary>
internal static partial class RateLimits
{
    private static readonly string[] Kinds = ["requests", "tokens", "input-tokens", "output-tokens"];

    /// <returns><c>null</c>: it does not say.</returns>
    public static TimeSpan? Wait(HttpResponseHeaders headers, DateTimeOffset now)
    {
        if (headers.RetryAfter is { } asked)
            return Positive(asked.Delta ?? asked.Date - now);
        if (Single(headers, "retry-after-ms") is { } text && double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var milliseconds) && milliseconds < int.MaxValue)
            return TimeSpan.FromMilliseconds(milliseconds);
        TimeSpan? longest = null;
        foreach (var kind in Kinds)
        {
            var wait = Used(headers, $"x-ratelimit-remaining-{kind}") ? Duration(Single(headers, $"x-ratelimit-reset-{kind}"))
                : Used(headers, $"anthropic-ratelimit-{kind}-remaining") ? Time(Single(headers, $"anthropic-ratelimit-{kind}-reset")) - now
                : null;
            if (Positive(wait) is { } known && !(known <= longest))
                longest = known;
        }

        return longest;
    }

    // A limit of which something remains is not the one that was met.
    private static bool Used(HttpResponseHeaders headers, string name) =>
        decimal.TryParse(Single(headers, name), NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var left) && left <= 0;

    private static string? Single(HttpResponseHeaders headers, string name) =>
        headers.TryGetValues(name, out var values) && values.FirstOrDefault() is { Length: > 0 and <= 64 } value ? value.Trim() : null;

    private static DateTimeOffset? Time(string? text) =>
        DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;

    /// <summary><c>120ms</c>, <c>6m0s</c>, <c>2m59.56s</c>, <c>1d2h</c>, or bare seconds.</summary>
    private static TimeSpan? Duration(string? text)
    {
        if (text is null || Parts().Match(text) is not { Success: true } match)
            return null;
        var seconds = Figure(match, "d") * 86_400 + Figure(match, "h") * 3600 + Figure(match, "m") * 60 + Figure(match, "s") + Figure(match, "ms") / 1000 + Figure(match, "bare");
        return TimeSpan.FromSeconds(Math.Min(seconds, 1e9));
    }

    private static double Figure(Match match, string unit) =>
        match.Groups[unit] is { Success: true, Value: var value } ? double.Parse(value, CultureInfo.InvariantCulture) : 0;

    private static TimeSpan? Positive(TimeSpan? wait) => wait < TimeSpan.Zero ? TimeSpan.Zero : wait;

    [GeneratedRegex(@"\A(?:(?=[0-9])(?:(?<d>[0-9]{1,6})d)?(?:(?<h>[0-9]{1,6})h)?(?:(?<m>[0-9]{1,9})m(?!s))?(?:(?<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:(?<ms>[0-9]{1,12}(?:\.[0-9]{1,9})?)ms)?|(?<bare>[0-9]{1,9}(?:\.[0-9]{1,9})?))\z")]
    private static partial Regex Parts();
}
