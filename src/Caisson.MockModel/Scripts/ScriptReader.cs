using Caisson.MockModel.Wire;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Caisson.MockModel.Scripts;

/// <summary>Reads a script file, strictly.</summary>
internal sealed class ScriptReader(string file)
{
    private const int MaxCharacters = 1 << 20;
    private const int MaxDepth = 24;
    private const int MaxNodes = 100_000;

    private static readonly string[] OfReply = ["say", "call", "delay", "pace", "fail", "usage"];
    private static readonly string[] OfTurn = [.. OfReply, "repeat", "turns"];

    // Aliases let a small file stand for an endless tree: what counts is every visit, not every node.
    private int _visited;

    public MockScript Read(string text)
    {
        if (text.Length > MaxCharacters)
            throw ScriptMap.Fail(file, 1, "", "a script has at most 1 MiB");
        var root = Load(text);
        Visit(root, 0);

        var many = root is YamlMappingNode map && map.Children.ContainsKey(new YamlScalarNode("scripts"));
        if (!many)
            return new MockScript([ReadScript(root, "")]);
        var top = new ScriptMap(file, "", root, "scripts");
        return new MockScript(List(top, "scripts").Select(s => ReadScript(s.Node, s.Path)).ToArray());
    }

    private YamlNode Load(string text)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            throw ScriptMap.Fail(file, e.Start.Line, "", $"no valid YAML: {e.Message}");
        }

        if (stream.Documents.Count != 1)
            throw ScriptMap.Fail(file, 1, "", $"expected one document, found {stream.Documents.Count}");
        return stream.Documents[0].RootNode;
    }

    private void Visit(YamlNode node, int depth)
    {
        if (++_visited > MaxNodes || depth > MaxDepth)
            throw ScriptMap.Fail(file, node, "", $"a script has at most {MaxNodes} values, {MaxDepth} deep");
        var children = node switch
        {
            YamlMappingNode map => map.Children.SelectMany(pair => new[] { pair.Key, pair.Value }),
            YamlSequenceNode list => list.Children,
            _ => [],
        };
        foreach (var child in children)
            Visit(child, depth + 1);
    }

    private Script ReadScript(YamlNode node, string path)
    {
        var map = new ScriptMap(file, path, node, "model", "match", "turns");
        var models = map.Has("model") ? Texts(map, "model") : [];
        var match = new ScriptMatch(models, []);
        if (map.Has("match"))
        {
            var conditions = new ScriptMap(file, map.PathOf("match"), map.Node("match"), "system", "input", "last", "tool", "wire", "request");
            match = new ScriptMatch(
                models,
                conditions.Has("wire") ? Wires(conditions) : [],
                conditions.Text("system"),
                conditions.Text("input"),
                conditions.Text("last"),
                conditions.Text("tool"),
                conditions.Whole("request", 1, 1_000_000));
        }

        return new Script(match, ReadTurns(map));
    }

    private string[] Wires(ScriptMap map)
    {
        var wires = Texts(map, "wire");
        return wires.FirstOrDefault(w => !WireNames.All.Contains(w, StringComparer.Ordinal)) is { } unknown
            ? throw map.Fail("wire", $"expected one of {string.Join(", ", WireNames.All)}; found '{unknown}'")
            : wires;
    }

    private Turn[] ReadTurns(ScriptMap map) => List(map, "turns").Select(item => ReadTurn(item.Node, item.Path)).ToArray();

    private Turn ReadTurn(YamlNode node, string path)
    {
        var map = new ScriptMap(file, path, node, OfTurn);
        var repeat = map.Times("repeat");
        if (map.Has("turns"))
        {
            if (OfReply.FirstOrDefault(map.Has) is { } other)
                throw map.Fail(other, "stands beside 'turns'; a group has only repeat and turns");
            return new Turn(repeat, null, ReadTurns(map));
        }

        var say = map.Text("say");
        Template.Check(say, problem => map.Fail("say", problem));
        ScriptedCall[] calls = map.Has("call") ? Items(map, "call").Select(ReadCall).ToArray() : [];
        Fault[] faults = map.Has("fail") ? Items(map, "fail").Select(item => FaultReader.Read(file, item.Node, item.Path)).ToArray() : [];
        if (say is null && calls.Length == 0 && !faults.Any(f => f.Times == Turn.Forever))
            throw map.Fail($"a turn must say or call something; allowed: {string.Join(", ", OfTurn)}");
        return new Turn(repeat, new Reply(say ?? "", calls, map.Duration("delay"), map.Duration("pace"), faults, ReadUsage(map)), []);
    }

    private ScriptedCall ReadCall((YamlNode Node, string Path) item)
    {
        var map = new ScriptMap(file, item.Path, item.Node, "name", "arguments", "id");
        var name = map.Text("name");
        if (string.IsNullOrEmpty(name))
            throw map.Fail("name is missing: the tool to call");
        var (arguments, isJson) = ("{}", true);
        if (map.Has("arguments"))
        {
            isJson = map.Node("arguments") is not YamlScalarNode;
            arguments = isJson ? YamlJson.Write(map.Node("arguments")) : map.Text("arguments")!;
            if (map.Node("arguments") is YamlSequenceNode)
                throw map.Fail("arguments", "expected a map, or the raw text, found a list");
            Template.Check(arguments, problem => map.Fail("arguments", problem));
        }

        return new ScriptedCall(map.Text("id"), name, arguments, isJson);
    }

    private ScriptedUsage ReadUsage(ScriptMap turn)
    {
        if (!turn.Has("usage"))
            return ScriptedUsage.Counted;
        if (turn.Node("usage") is YamlScalarNode)
        {
            return turn.Text("usage") == "none"
                ? ScriptedUsage.Counted with { Omit = true }
                : throw turn.Fail("usage", $"expected none or a map, found {ScriptMap.Describe(turn.Node("usage"))}");
        }

        var map = new ScriptMap(file, turn.PathOf("usage"), turn.Node("usage"), "input", "output", "cached", "written", "reasoning", "total");
        return new ScriptedUsage(false, Figure("input"), Figure("output"), Figure("cached"), Figure("written"), Figure("reasoning"), Figure("total"));

        // Absurd figures are what a caller must be able to meet; two of them still add up to a number.
        long? Figure(string key) => map.Whole(key, 0, 1_000_000_000_000_000);
    }

    private static IEnumerable<(YamlNode Node, string Path)> List(ScriptMap map, string key)
    {
        if (!map.Has(key))
            throw map.Fail($"{key} is missing");
        if (map.Node(key) is not YamlSequenceNode { Children.Count: > 0 } list)
            throw map.Fail(key, $"expected a list of at least one, found {(map.Node(key) is YamlSequenceNode ? "an empty one" : ScriptMap.Describe(map.Node(key)))}");
        return list.Children.Select((node, index) => (node, $"{map.PathOf(key)}[{index}]"));
    }

    /// <summary>One or several.</summary>
    private static IEnumerable<(YamlNode Node, string Path)> Items(ScriptMap map, string key) =>
        map.Node(key) is YamlSequenceNode ? List(map, key) : [(map.Node(key), map.PathOf(key))];

    /// <summary>A text, or a list of texts.</summary>
    private string[] Texts(ScriptMap map, string key) =>
        map.Node(key) is YamlSequenceNode ? List(map, key).Select(item => Text(item.Node, item.Path)).ToArray() : [map.Text(key)!];

    private string Text(YamlNode node, string path) =>
        node is YamlScalarNode { Value.Length: > 0 } scalar ? scalar.Value! : throw ScriptMap.Fail(file, node, path, $"expected a text, found {ScriptMap.Describe(node)}");
}
