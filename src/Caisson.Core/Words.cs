using System.Globalization;
using System.Text;
using Caisson.Contracts;

namespace Caisson.Core;

/// <summary>The words that people read for our enums: lower case, as in the API.</summary>
public static class Words
{
    public static string Of<T>(T value) where T : struct, Enum
    {
        var name = value.ToString();
        var text = new StringBuilder(name.Length + 4);
        foreach (var c in name)
        {
            if (char.IsUpper(c) && text.Length > 0)
                text.Append('_');
            text.Append(char.ToLowerInvariant(c));
        }

        return text.ToString();
    }
}

/// <summary>Sizes as people write them: <c>512MiB</c>, <c>1GiB</c>.</summary>
public static class Sizes
{
    private static readonly (string Unit, int Shift)[] Units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

    internal static int Utf8(string text) => Encoding.UTF8.GetByteCount(text);

    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        foreach (var (unit, shift) in Units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && long.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var count)
                && count <= long.MaxValue >> shift)
            {
                bytes = count << shift;
                return true;
            }
        }

        return false;
    }

    public static string Text(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.#} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.#} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.#} KiB",
        _ => $"{bytes} bytes",
    };
}

public static class EngineVersion
{
    /// <summary>
    /// Level of what this engine writes into journals and can read in them. Raised with each kind of entry, or meaning of
    /// one, that an engine of the level before would not understand; a run that such an engine has driven is left alone
    /// by those below.
    /// </summary>
    public const int Level = 2;

    internal static readonly string Text = typeof(EngineVersion).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";
}
