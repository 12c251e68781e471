namespace Caisson.Core.Loops;

/// <summary>
/// Sees a model's answer that repeats itself, as it comes or as a whole.
/// <para>
/// Problem: a model that has fallen into a rut writes the same passage until its bound, and each round is paid for. What
/// counts is the end of the text so far: how often its last passage stands there in a row. Rulers, tables and padding
/// repeat by nature, so a passage has some length, and a long one where it consists of hardly any different letters.
/// Pure, and the same for a text in one piece or in many: it looks at fixed places of the text, not of the pieces.
/// Memory and work are bounded: the last <see cref="Window"/> letters, once every <see cref="Stride"/>.
/// </para>
/// </summary>
internal sealed class StreamRepeats
{
    internal const int ShortestPassage = 24;
    internal const int LongestPassage = 1_000;

    // Two or three different letters are a ruler, until they fill pages.
    private const int FewLetters = 4;
    private const int ShortestRuler = 400;

    internal const int MostCounted = 12;
    private const int Stride = 256;
    private const int Window = LongestPassage * MostCounted + Stride;

    private readonly char[] _tail = new char[Window * 2];
    private readonly int[] _border = new int[Window];
    private int _length;
    private int _sinceLook;

    /// <summary>The most rounds of one passage that were seen so far; 1 where nothing repeats.</summary>
    internal int Count { get; private set; } = 1;

    /// <returns><see cref="Count"/> after it.</returns>
    internal int Add(ReadOnlySpan<char> text)
    {
        while (text.Length > 0)
        {
            var part = text[..Math.Min(text.Length, Stride - _sinceLook)];
            text = text[part.Length..];
            Keep(part);
            _sinceLook += part.Length;
            if (_sinceLook == Stride)
                Look();
        }

        return Count;
    }

    /// <summary>The text is at its end.</summary>
    internal int End()
    {
        if (_sinceLook > 0)
            Look();
        return Count;
    }

    internal static int Of(string text)
    {
        var repeats = new StreamRepeats();
        repeats.Add(text);
        return repeats.End();
    }

    private void Keep(ReadOnlySpan<char> part)
    {
        if (_length + part.Length > _tail.Length)
        {
            _tail.AsSpan(_length - Window, Window).CopyTo(_tail);
            _length = Window;
        }

        part.CopyTo(_tail.AsSpan(_length));
        _length += part.Length;
    }

    /// <summary>
    /// The text read backwards, and for each of its beginnings the longest border (a part that is both its beginning and
    /// its end): a beginning of length n with a border of length b has the period n - b.
    /// </summary>
    private void Look()
    {
        _sinceLook = 0;
        var text = _tail.AsSpan(Math.Max(0, _length - Window), Math.Min(_length, Window));
        var last = text.Length - 1;
        _border[0] = 0;
        for (int n = 1, border = 0; n < text.Length; n++)
        {
            while (border > 0 && text[last - n] != text[last - border])
                border = _border[border - 1];
            if (text[last - n] == text[last - border])
                border++;
            _border[n] = border;
            var period = n + 1 - border;
            var rounds = RoundsOf(text, n + 1, period);
            if (rounds > Count)
                Count = Math.Min(rounds, MostCounted);
        }
    }

    /// <summary>How often a passage stands in the last letters; a short period counts in passages of the shortest length.</summary>
    private static int RoundsOf(ReadOnlySpan<char> text, int length, int period)
    {
        if (period > LongestPassage || length / Math.Max(period, ShortestPassage) < 2)
            return 1;
        var shortest = Letters(text[^period..]) < FewLetters ? ShortestRuler : ShortestPassage;
        var passage = period >= shortest ? period : (shortest + period - 1) / period * period;
        return length / passage;
    }

    private static int Letters(ReadOnlySpan<char> passage)
    {
        Span<char> seen = stackalloc char[FewLetters];
        var count = 0;
        foreach (var letter in passage)
        {
            if (seen[..count].Contains(letter))
                continue;
            seen[count++] = letter;
            if (count == FewLetters)
                break;
        }

        return count;
    }
}
