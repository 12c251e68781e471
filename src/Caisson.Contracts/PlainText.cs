using System.Globalization;
using System.Text;

namespace Caisson.Contracts;

/// <summary>
/// Text that is not ours (of a model, a tool, a box, a manifest), made harmless for a terminal: what could move the
/// cursor, change colours, reverse the reading direction or begin a new line is written out as an escape.
/// </summary>
public static class PlainText
{
    /// <summary>One line, whatever was in it.</summary>
    public static string Line(string text)
    {
        var first = FirstUnsafe(text);
        if (first < 0)
            return text;
        var safe = new StringBuilder(text.Length + 16).Append(text, 0, first);
        for (var i = first; i < text.Length;)
        {
            Rune.DecodeFromUtf16(text.AsSpan(i), out var rune, out var length);
            var broken = rune == Rune.ReplacementChar && text[i] != '\ufffd';
            if (broken || IsUnsafe(rune))
                Escape(safe, broken ? text[i] : rune.Value);
            else
                safe.Append(text, i, length);
            i += length;
        }

        return safe.ToString();
    }

    /// <summary>One line of at most so many characters, cut with an ellipsis.</summary>
    public static string Line(string text, int most)
    {
        // Cut before escaping, so that a megabyte is not escaped for eighty characters; and after, because that grows.
        var line = Line(text.Length > most ? text[..most] : text);
        return line.Length > most || text.Length > most ? line[..Math.Min(line.Length, most - 1)] + "…" : line;
    }

    /// <summary>Several lines, each harmless; the caller indents them, so that none can pass for a line of ours.</summary>
    public static IEnumerable<string> Lines(string text) =>
        text.ReplaceLineEndings("\n").Split('\n').Select(line => Line(line.Replace("\t", "    ", StringComparison.Ordinal)));

    private static int FirstUnsafe(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            // Surrogates may be fine; the slow way decides.
            if (char.IsSurrogate(text[i]) || (Rune.TryCreate(text[i], out var rune) && IsUnsafe(rune)))
                return i;
        }

        return -1;
    }

    private static bool IsUnsafe(Rune rune) => rune.Value switch
    {
        < 0x20 or (>= 0x7f and <= 0x9f) => true,
        // Marks that nobody sees and that turn the reading direction or hide text: bidi controls, joiners, tags.
        0x061c or (>= 0x200b and <= 0x200f) or (>= 0x202a and <= 0x202e) or (>= 0x2060 and <= 0x206f) or 0xfeff or (>= 0xe0000 and <= 0xe0fff) => true,
        _ => Rune.GetUnicodeCategory(rune) is UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse,
    };

    private static void Escape(StringBuilder safe, int value)
    {
        _ = value switch
        {
            '\n' => safe.Append("\\n"),
            '\r' => safe.Append("\\r"),
            '\t' => safe.Append("\\t"),
            <= 0xff => safe.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}"),
            _ => safe.Append(CultureInfo.InvariantCulture, $"\\u{{{value:x}}}"),
        };
    }
}
