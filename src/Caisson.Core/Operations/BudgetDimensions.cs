using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Budgets;

namespace Caisson.Core.Operations;

/// <summary>What people call the dimensions of budgets, and how they write their amounts.</summary>
internal static class BudgetDimensions
{
    /// <summary>Those whose caps can be set.</summary>
    internal static readonly IReadOnlyList<LimitDimension> Settable =
        [LimitDimension.NanoUsd, LimitDimension.Tokens, LimitDimension.Steps, LimitDimension.ToolCalls, LimitDimension.Deadline];

    internal static string Name(LimitDimension dimension) => dimension == LimitDimension.NanoUsd ? "usd" : Words.Of(dimension);

    internal static LimitDimension? Find(string name) => Settable.Where(d => Name(d) == name).Select(d => (LimitDimension?)d).FirstOrDefault();

    internal static string Text(LimitDimension dimension, long amount) => dimension switch
    {
        LimitDimension.NanoUsd => Money.Text(amount),
        LimitDimension.Deadline or LimitDimension.NoProgress => Durations.Text(TimeSpan.FromMilliseconds(amount)),
        _ => amount.ToString(CultureInfo.InvariantCulture),
    };

    /// <summary>A positive amount: money in nano-USD, times in milliseconds.</summary>
    internal static bool TryParse(LimitDimension dimension, string text, out long amount, [NotNullWhen(false)] out string? allowed)
    {
        (var parsed, allowed) = dimension switch
        {
            LimitDimension.NanoUsd => (Money.TryParse(text, out amount), "an amount of US dollars with at most 9 decimals, as 0.05"),
            LimitDimension.Deadline => (TryTime(text, out amount), "a time of at most 365 days, as 90s or 2h"),
            _ => (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out amount), "a positive whole number"),
        };
        if (!parsed || amount <= 0)
            return false;
        allowed = null;
        return true;
    }

    private static bool TryTime(string text, out long milliseconds)
    {
        var parsed = Durations.TryParse(text, out var time) && time <= TimeSpan.FromDays(365);
        milliseconds = (long)time.TotalMilliseconds;
        return parsed;
    }
}
