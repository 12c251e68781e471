using System.Collections.Frozen;
using System.Text.Json;
using System.Text.RegularExpressions;
using Caisson.Gateway.Prices;

namespace Caisson.Gateway.Wires.Keys;

/// <summary>
/// What of a request may differ between two attempts of the same agent. Data, because agents change faster than this
/// code; versioned, because a run must know by which rules it was recorded.
/// </summary>
internal sealed class ScrubRules
{
    private static readonly Lazy<ScrubRules> Shipped = new(ReadShipped);

    private readonly FrozenDictionary<string, WireScrub> _wires;
    private readonly Regex _pattern;
    private readonly (string Pattern, Regex Value)[] _agents;

    private ScrubRules(string version, FrozenDictionary<string, WireScrub> wires, Regex pattern, (string, Regex)[] agents)
    {
        Version = version;
        _wires = wires;
        _pattern = pattern;
        _agents = agents;
    }

    /// <summary>The rules that ship with this build.</summary>
    public static ScrubRules Embedded => Shipped.Value;

    /// <summary>To be recorded with a run.</summary>
    public string Version { get; }

    public WireScrub Wire(string name) => _wires[name];

    /// <summary>What is volatile in a text: the general rules, and those for this client.</summary>
    public Regex Pattern(string? userAgent) => ModelPattern.Best(_agents, userAgent ?? "") ?? _pattern;

    internal static ScrubRules Parse(ReadOnlyMemory<byte> json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        var general = root.GetProperty("patterns");
        return new ScrubRules(
            root.GetProperty("version").GetString()!,
            root.GetProperty("wires").EnumerateObject().ToFrozenDictionary(w => w.Name, w => ReadWire(w.Value)),
            ReadPattern(general),
            [.. root.GetProperty("agents").EnumerateArray().Select(a => (a.GetProperty("match").GetString()!, ReadPattern(a.GetProperty("patterns"), general)))]);
    }

    private static WireScrub ReadWire(JsonElement wire)
    {
        var rules = new ScrubNode();
        foreach (var (name, rule) in new[] { ("L0", Scrub.DropAlways), ("L1", Scrub.DropHints), ("ids", Scrub.Alias), ("results", Scrub.Result) })
        {
            foreach (var path in wire.At(name).Items())
                rules.Add(path.GetString()!.Split('.'), rule);
        }

        return new WireScrub([.. wire.GetProperty("conversation").EnumerateArray().Select(f => f.GetString()!)], rules);
    }

    // One expression for all rules: the first one that fits at a place wins. It must not backtrack, for the text is a stranger's.
    private static Regex ReadPattern(params JsonElement[] lists)
    {
        var rules = lists.SelectMany(l => l.EnumerateArray()).Select(r => $"(?<{r.GetProperty("kind").GetString()}>{r.GetProperty("match").GetString()})");
        return new Regex(string.Join('|', rules), RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant);
    }

    private static ScrubRules ReadShipped()
    {
        using var stream = typeof(ScrubRules).Assembly.GetManifestResourceStream("scrub-rules.json")!;
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return Parse(bytes.ToArray());
    }
}

/// <param name="Conversation">Top-level fields that tell the conversation, in its order.</param>
internal sealed record WireScrub(IReadOnlyList<string> Conversation, ScrubNode Rules);

/// <summary>What happens to a value, and from which level on.</summary>
internal enum Scrub
{
    Keep = 0,
    /// <summary>Gone at every level.</summary>
    DropAlways = 1,
    /// <summary>Gone from L1 on.</summary>
    DropHints = 2,
    /// <summary>From L2 on: an id that stands for its first appearance.</summary>
    Alias = 3,
    /// <summary>Gone from L3 on.</summary>
    Result = 4,
}

/// <summary>A place in a document with the rules below it. A step is a member's name, <c>*</c> for each element of a list, or <c>*name=text</c> for those with that member.</summary>
internal sealed class ScrubNode
{
    private readonly Dictionary<string, ScrubNode> _steps = new(StringComparer.Ordinal);

    public Scrub Rule { get; private set; }

    public void Add(ReadOnlySpan<string> path, Scrub rule)
    {
        if (path.IsEmpty)
        {
            Rule = rule;
            return;
        }

        if (!_steps.TryGetValue(path[0], out var next))
            _steps.Add(path[0], next = new ScrubNode());
        next.Add(path[1..], rule);
    }

    public static ScrubNode[] Member(ScrubNode[] at, string name) =>
        at.Length == 0 ? at : [.. at.Select(n => n._steps.GetValueOrDefault(name)).OfType<ScrubNode>()];

    public static ScrubNode[] Element(ScrubNode[] at, JsonElement element) =>
        at.Length == 0 ? at : [.. at.SelectMany(n => n._steps.Where(s => Fits(s.Key, element)).Select(s => s.Value))];

    private static bool Fits(string step, JsonElement element) =>
        step == "*" || (step.StartsWith('*') && step[1..].Split('=') is [var name, var text] && element.Is(name, text));
}
