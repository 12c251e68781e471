using System.IO.Enumeration;

namespace Caisson.Gateway.Prices;

/// <summary>Which models a price is for: a name, or a glob in which <c>*</c> is any text and <c>?</c> one character.</summary>
internal static class ModelPattern
{
    /// <summary>The value under the most specific pattern: an exact name first, then the pattern with the most literal text.</summary>
    public static T? Best<T>(IEnumerable<(string Pattern, T Value)> candidates, string model)
        where T : class
    {
        T? best = null;
        var bestRank = -1;
        foreach (var (pattern, value) in candidates)
        {
            var rank = Rank(pattern);
            if (rank > bestRank && FileSystemName.MatchesSimpleExpression(pattern, model, ignoreCase: true))
                (best, bestRank) = (value, rank);
        }

        return best;
    }

    private static int Rank(string pattern)
    {
        var wild = pattern.Count(c => c is '*' or '?');
        return wild == 0 ? int.MaxValue : pattern.Length - wild;
    }
}
