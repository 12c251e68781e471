using System.Buffers;
using System.Globalization;
using System.Text;

namespace Caisson.Gateway.Egress.Http;

/// <summary>
/// Reads the head of a request, strictly: what two servers could read in two ways is refused, because the second one may
/// then see a request that nobody here has looked at. Pure, and answers for any bytes.
/// </summary>
internal static class RequestParser
{
    private const int LongestNumber = 15;
    private static readonly SearchValues<char> NeverInTarget = SearchValues.Create("\t#\"<>\\^`{|}");

    /// <param name="head">Everything up to and with the empty line.</param>
    internal static ParseOutcome Parse(ReadOnlySpan<byte> head)
    {
        if (head.Length > Grammar.MaxHead)
            return Bad("its head is too long");
        if (!head.EndsWith("\r\n\r\n"u8))
            return Bad("its head does not end with an empty line");
        foreach (var b in head)
        {
            if (b is >= 127 or < 32 and not ((byte)'\r' or (byte)'\n' or (byte)'\t'))
                return Bad("its head holds bytes other than printable ASCII");
        }

        var lines = Encoding.ASCII.GetString(head[..^4]).Split("\r\n");
        if (lines.Any(line => line.AsSpan().IndexOfAny('\r', '\n') >= 0))
            return Bad("a line does not end with CR and LF");
        if (lines.Length - 1 > Grammar.MaxHeaders)
            return Bad($"it has more than {Grammar.MaxHeaders} headers");
        if (RequestLine(lines[0]) is not var (method, target, is11))
            return Bad("its first line is not METHOD TARGET HTTP/1.1");
        var headers = new List<HeaderLine>(lines.Length - 1);
        foreach (var line in lines.AsSpan(1))
        {
            if (Header(line) is not { } header)
                return Bad("a header is not NAME: VALUE on one line");
            headers.Add(header);
        }

        return Frame(method, target, is11, headers);
    }

    private static ParseOutcome Frame(string method, string target, bool is11, List<HeaderLine> headers)
    {
        var lengths = headers.Where(h => h.Is("Content-Length")).ToList();
        var codings = headers.Where(h => h.Is("Transfer-Encoding")).ToList();
        var hosts = headers.Where(h => h.Is("Host")).ToList();
        if (lengths.Count + codings.Count > 1)
            return Bad("it says more than once how long its body is");
        if (codings.Count > 0 && (!is11 || !codings[0].Value.Equals("chunked", StringComparison.OrdinalIgnoreCase)))
            return Bad("its transfer encoding is not 'chunked'");
        if (hosts.Count > 1 || (is11 && hosts.Count == 0))
            return Bad("it has not exactly one Host header");
        long? length = 0;
        if (lengths.Count > 0)
        {
            var text = lengths[0].Value;
            if (text.Length is 0 or > LongestNumber || !text.All(char.IsAsciiDigit))
                return Bad("its Content-Length is not a number");
            length = long.Parse(text, CultureInfo.InvariantCulture);
        }
        else if (codings.Count > 0)
        {
            length = null;
        }

        var options = headers.Where(h => h.Is("Connection") || h.Is("Proxy-Connection")).SelectMany(h => h.Value.Split(',')).Select(o => o.Trim()).Where(o => o.Length > 0).ToList();

        // A hop that removes what frames or addresses the request would make another one of it.
        if (options.Any(o => !Grammar.IsToken(o) || o.Equals("Host", StringComparison.OrdinalIgnoreCase) || o.Equals("Content-Length", StringComparison.OrdinalIgnoreCase)
            || o.Equals("Transfer-Encoding", StringComparison.OrdinalIgnoreCase)))
            return Bad("its Connection header names what must stay");
        var kept = headers.Where(h => !HopHeaders.IsOfOneHop(h.Name) && !options.Contains(h.Name, StringComparer.OrdinalIgnoreCase)).ToList();
        var expects = headers.Where(h => h.Is("Expect")).ToList();
        if (expects.Count > 1 || (expects.Count == 1 && !expects[0].Value.Equals("100-continue", StringComparison.OrdinalIgnoreCase)))
            return Bad("it expects something other than 100-continue");
        var close = options.Contains("close", StringComparer.OrdinalIgnoreCase) || (!is11 && !options.Contains("keep-alive", StringComparer.OrdinalIgnoreCase));
        return new ParseOutcome.Parsed(new RequestHead(method, target, is11, kept, length, hosts.Count == 0 ? null : hosts[0].Value, close, is11 && expects.Count == 1));
    }

    private static (string Method, string Target, bool Is11)? RequestLine(string line)
    {
        var parts = line.Split(' ');
        return parts is [{ Length: > 0 and <= Grammar.MaxMethod } method, { Length: > 0 and <= Grammar.MaxTarget } target, "HTTP/1.1" or "HTTP/1.0"]
            && method.All(c => char.IsAsciiLetterUpper(c) || c == '-') && target.AsSpan().IndexOfAny(NeverInTarget) < 0
            ? (method, target, parts[2] == "HTTP/1.1")
            : null;
    }

    private static HeaderLine? Header(string line)
    {
        var colon = line.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && Grammar.IsToken(line[..colon]) ? new HeaderLine(line[..colon], line[(colon + 1)..].Trim(' ', '\t')) : null;
    }

    private static ParseOutcome.Malformed Bad(string problem) => new(problem);
}
