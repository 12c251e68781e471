using Caisson.Contracts;

namespace Caisson.Core.Operations;

/// <summary>Finds the one thing that a person means, by its key or the beginning of it. Pure.</summary>
internal static class KeyChoice
{
    /// <param name="what">What is chosen among, for messages: <c>open approval</c>.</param>
    /// <param name="open">Keys to choose from.</param>
    /// <param name="settled">Keys that were open once, and what became of them.</param>
    internal static (string? Key, Failure? Failure) Pick(RunId run, string what, IReadOnlyList<string> open, IReadOnlyDictionary<string, string> settled, string? given)
    {
        if (given is { Length: 0 })
            given = null;
        var fits = given is null ? open : open.Contains(given) ? [given] : [.. open.Where(key => key.StartsWith(given, StringComparison.Ordinal))];
        if (fits is [var one])
            return (one, null);
        if (fits.Count > 1)
            return (null, Conflict($"run {run} has {fits.Count} of the kind '{what}'{(given is null ? "" : $" that begin with '{given}'")}: give one of {string.Join(", ", fits.Take(5).Select(WhyRun.Key))}"));
        if (given is not null && settled.FirstOrDefault(s => s.Key.StartsWith(given, StringComparison.Ordinal)) is { Key: { } past, Value: var how })
            return (null, Conflict($"{WhyRun.Key(past)} of run {run} is settled already: {how}"));
        return (null, Conflict(given is null ? $"run {run} has no {what}" : $"run {run} has no {what} '{given}': 'caisson why {run}' shows what is open"));
    }

    private static Failure Conflict(string message) => new(ErrorCodes.RunConflict, message);
}
