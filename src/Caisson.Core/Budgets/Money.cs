using System.Globalization;

namespace Caisson.Core.Budgets;

/// <summary>Money is whole billionths of a US dollar, so that sums are exact.</summary>
public static class Money
{
    public const long NanoPerUsd = 1_000_000_000;

    /// <summary>Plain decimals only, at most nine of them.</summary>
    public static bool TryParse(string text, out long nanoUsd)
    {
        nanoUsd = 0;

        // The digits are counted, because decimal itself rounds what is longer than it can hold.
        var point = text.IndexOf('.', StringComparison.Ordinal);
        if (point >= 0 && text.Length - point - 1 > 9)
            return false;
        if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var usd) || usd > 1_000_000_000m)
            return false;
        nanoUsd = (long)(usd * NanoPerUsd);
        return true;
    }

    public static string Text(long nanoUsd) => (nanoUsd / (decimal)NanoPerUsd).ToString("0.00#######", CultureInfo.InvariantCulture);
}
