using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Caisson.Gateway.Wires.Keys;

/// <summary>
/// Replaces what differs between attempts by the order of its first appearance. The same token gets the same number, so
/// that equal hashes mean that the tokens can be mapped one to one within this request; whether the mapping also holds
/// for the whole attempt, and leaves alone what the run's input says, is for whoever compares the lists.
/// </summary>
internal sealed class Volatiles(Regex pattern)
{
    // Everything has a limit. Tokens beyond it stay what they are, the same way each time.
    private const int Most = 16_384;

    // A long text without a blank at its beginning is data, such as an image; what looks like a time in it is none.
    private const int DataLength = 4096;

    private readonly Dictionary<string, string> _stands = new(StringComparer.Ordinal);
    private readonly List<string> _tokens = [];

    /// <summary>In the order of first appearance.</summary>
    public IReadOnlyList<string> Tokens => _tokens;

    public string Scrub(string text)
    {
        if (text.Length > DataLength && !text.AsSpan(0, DataLength).ContainsAny(" \n\t"))
            return text;
        var scrubbed = new StringBuilder();
        var from = 0;
        foreach (var match in pattern.EnumerateMatches(text))
        {
            scrubbed.Append(text, from, match.Index - from).Append(Stand(text.AsSpan(match.Index, match.Length)));
            from = match.Index + match.Length;
        }

        return from == 0 ? text : scrubbed.Append(text, from, text.Length - from).ToString();
    }

    public string Stand(string kind, string token)
    {
        if (_stands.TryGetValue(token, out var stand))
            return stand;
        if (_tokens.Count == Most)
            return token;
        // No client writes a text with a zero in it by chance.
        stand = string.Create(CultureInfo.InvariantCulture, $"\0{kind} {_tokens.Count}\0");
        _stands.Add(token, stand);
        _tokens.Add(token);
        return stand;
    }

    // Which rule it was is asked once for each token and not at each match: that is dear, and a conversation is long.
    private string Stand(ReadOnlySpan<char> token)
    {
        if (_stands.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(token, out var stand))
            return stand;
        var text = token.ToString();
        return Stand(pattern.Match(text).Groups.Values.Skip(1).FirstOrDefault(g => g.Success)?.Name ?? "", text);
    }
}
