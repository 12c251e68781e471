namespace Caisson.Core.Egress;

/// <summary>
/// Patterns of paths, and the one form of a path that they are compared with. A path that servers read in more than one
/// way (dot segments, encoded slashes, empty segments) has no such form and fits no pattern.
/// </summary>
public static class PathPattern
{
    public const string Allowed = "a path from /, in which * is a segment or a part of it and a segment ** any number of them, as /repos/*/issues or /v1/**";

    /// <summary>What is wrong with a pattern, or <c>null</c>.</summary>
    public static string? Problem(string pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (!pattern.StartsWith('/'))
            return "it does not begin with /";
        var segments = pattern.Split('/')[1..];
        if (segments.Any(s => s.Contains("**", StringComparison.Ordinal) && s != "**"))
            return "** is a segment of its own";
        return Canonical(pattern.Replace('*', 'x')) is null ? "servers may read it in more than one way" : null;
    }

    /// <summary>The path without its query, with what is encoded needlessly decoded; <c>null</c> where it can be read in more than one way.</summary>
    public static string? Canonical(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.StartsWith('/'))
            return null;
        var text = new System.Text.StringBuilder(path.Length);
        for (var i = 0; i < path.Length; i++)
        {
            var c = path[i];
            if (c is '\\' or '#' or '?' or <= ' ' or >= (char)127)
                return null;
            if (c != '%')
            {
                text.Append(c);
                continue;
            }

            if (i + 2 >= path.Length || !char.IsAsciiHexDigit(path[i + 1]) || !char.IsAsciiHexDigit(path[i + 2]))
                return null;
            var value = (char)Convert.ToInt32(path.Substring(i + 1, 2), 16);
            if (value is '/' or '\\' or '%' or < ' ' or (char)127)
                return null;
            if (char.IsAsciiLetterOrDigit(value) || value is '-' or '.' or '_' or '~')
                text.Append(value);
            else
                text.Append('%').Append(path.AsSpan(i + 1, 2).ToString().ToUpperInvariant());
            i += 2;
        }

        var canonical = text.ToString();
        var segments = canonical.Split('/');
        for (var i = 1; i < segments.Length; i++)
        {
            // Some servers cut parameters off a segment before they look for dots in it.
            var name = segments[i].Split(';', 2)[0];
            if (name is "." or ".." || (name.Length == 0 && (i < segments.Length - 1 || segments[i].Length > 0)))
                return null;
        }

        return canonical;
    }

    /// <param name="canonical">As <see cref="Canonical"/> gave it.</param>
    public static bool Matches(string pattern, string canonical)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        ArgumentNullException.ThrowIfNull(canonical);
        var (wanted, given) = (pattern.Split('/'), canonical.Split('/'));

        // For each place of the path: whether the pattern so far can end there. No way back, so no pattern takes long.
        var ends = new bool[given.Length + 1];
        ends[0] = true;
        foreach (var part in wanted)
        {
            var next = new bool[given.Length + 1];
            if (part == "**")
            {
                var open = false;
                for (var i = 0; i <= given.Length; i++)
                    next[i] = open |= ends[i];
            }
            else
            {
                for (var i = 0; i < given.Length; i++)
                    next[i + 1] = ends[i] && Fits(part, given[i]);
            }

            ends = next;
        }

        return ends[given.Length];
    }

    private static bool Fits(string part, string segment)
    {
        var pieces = part.Split('*');
        if (pieces.Length == 1)
            return part == segment;
        if (segment.Length == 0 || !segment.StartsWith(pieces[0], StringComparison.Ordinal))
            return false;
        var at = pieces[0].Length;
        foreach (var piece in pieces[1..^1])
        {
            var found = segment.IndexOf(piece, at, StringComparison.Ordinal);
            if (found < 0)
                return false;
            at = found + piece.Length;
        }

        return segment.Length - at >= pieces[^1].Length && segment.EndsWith(pieces[^1], StringComparison.Ordinal);
    }
}
