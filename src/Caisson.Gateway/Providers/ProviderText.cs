using System.Globalization;
using System.Text;

namespace Caisson.Gateway.Providers;

/// <summary>
/// Text of a stranger on its way into an error or a log. It may hold anything: line breaks that forge log lines, marks
/// that turn text around, megabytes, or our own key sent back.
/// </summary>
internal static class ProviderText
{
    /// <summary>
    /// How much of a text is looked at. With keys of at most <see cref="ProviderOptions.MaxKeyLength"/> the window's own
    /// cut, which may fall into a key, always lies behind the cut of the quoted line.
    /// </summary>
    public const int Window = 256 << 10;

    private const int DefaultLength = 300;

    /// <summary>One printable line, cut. The key is taken out first, so that no cut can leave half of it.</summary>
    public static string Quote(string text, int length = DefaultLength, string? key = null)
    {
        if (!string.IsNullOrEmpty(key))
            text = text.Replace(key, "[key]", StringComparison.OrdinalIgnoreCase);
        var line = new StringBuilder(Math.Min(text.Length, length) + 16);
        foreach (var rune in text.EnumerateRunes())
        {
            if (line.Length >= length)
                return line.Append('…').ToString();
            var category = Rune.GetUnicodeCategory(rune);
            if (rune.Value == '\n')
                line.Append("\\n");
            else if (category is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                     or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned)
                line.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}");
            else
                line.Append(rune);
        }

        return line.ToString();
    }
}
