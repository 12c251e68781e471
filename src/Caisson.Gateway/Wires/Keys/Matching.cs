using System.Text.Json;
using Caisson.Core.Journal;

namespace Caisson.Gateway.Wires.Keys;

/// <summary>
/// Under which keys a recorded call is found again. A request is hashed as a chain, message by message in the order of
/// the conversation and all else behind it: then the hash after a message names everything up to there.
/// </summary>
internal static class Matching
{
    // A continued conversation is one or a few messages longer than its record.
    private const int MaxPrefixes = 256;

    /// <param name="route">What the path says and the body does not, such as Gemini's model.</param>
    /// <returns>The keys, and a name for the conversation: what it begins with up to the first answer.</returns>
    public static (MatchKeys Keys, string Conversation) Of(string wire, string route, JsonElement root, string? userAgent)
    {
        var rules = ScrubRules.Embedded;
        var scrub = rules.Wire(wire);
        var start = StepHash.Of("caisson.match.1", wire, route);
        Walk(0, null, out var l0);
        Walk(1, null, out var l1);
        var volatiles = new Volatiles(rules.Pattern(userAgent));
        var links = Walk(2, volatiles, out var l2);
        var prefixes = Walk(3, new Volatiles(rules.Pattern(userAgent)), out var l3);
        var keys = new MatchKeys(l0, l1, l2, l3, volatiles.Tokens, [.. prefixes.Skip(prefixes.Count - MaxPrefixes)]);
        return (keys, Opening(scrub, root, start, links));

        List<string> Walk(int level, Volatiles? volatiles, out string total)
        {
            var canonical = new Canonical(level, volatiles);
            var chain = new List<string>();
            var head = start;
            foreach (var (link, at) in Links(scrub, root))
            {
                canonical.Clear();
                canonical.Write(link, at);
                chain.Add(head = StepHash.Chain(head, canonical.Written));
            }

            canonical.Clear();
            canonical.WriteObject(root, [scrub.Rules], scrub.Conversation);
            total = StepHash.Chain(head, canonical.Written);
            return chain;
        }
    }

    /// <summary>The user's own words as they are, because two conversations often differ in one id only; around them the date may change.</summary>
    private static string Opening(WireScrub scrub, JsonElement root, string start, List<string> links)
    {
        var canonical = new Canonical(1, null);
        var count = 0;
        foreach (var (link, at) in Links(scrub, root).TakeWhile(l => !IsAnswer(l.Link)))
        {
            count++;
            if (link.ValueKind == JsonValueKind.String || link.Is("role", "user"))
                canonical.Write(link, at);
        }

        return StepHash.Chain(count == 0 ? start : links[count - 1], canonical.Written);
    }

    private static IEnumerable<(JsonElement Link, ScrubNode[] At)> Links(WireScrub scrub, JsonElement root)
    {
        foreach (var field in scrub.Conversation)
        {
            var value = root.At(field);
            var at = ScrubNode.Member([scrub.Rules], field);
            if (value.ValueKind == JsonValueKind.Array)
            {
                foreach (var item in value.EnumerateArray())
                    yield return (item, ScrubNode.Element(at, item));
            }
            else if (!value.IsNothing())
            {
                yield return (value, at);
            }
        }
    }

    private static bool IsAnswer(JsonElement link) => link.Text("role") switch
    {
        null => link.Text("type") is not (null or "message" or "text"),
        var role => role is not ("user" or "system" or "developer"),
    };
}
