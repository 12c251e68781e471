using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Caisson.MockModel.Scripts;

/// <summary>Reads a script file, strictly.</summary>
internal sealed class ScriptReader(string file)
{
    private const int MaxCharacters = 1 << 20;
    private const int MaxDepth = 24;
    private const int MaxNodes = 100_000;

    private static readonly string[] OfReply = ["say", "call", "delay", "fail", "usage"];
    private static readonly string[] FaultKinds = ["status", "cut", "hang", "malformed"];
    private static readonly string[] OfStatus = ["retry_after", "message"];

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
        IReadOnlyList<string> models = [];
        if (map.Has("model"))
            models = map.Node("model") is YamlSequenceNode ? List(map, "model").Select(item => Text(item.Node, item.Path)).ToArray() : [map.Text("model")!];
        var match = new ScriptMatch(models, null, null, null);
        if (map.Has("match"))
        {
            var conditions = new ScriptMap(file, map.PathOf("match"), map.Node("match"), "system", "input", "last");
            match = match with { System = conditions.Text("system"), Input = conditions.Text("input"), Last = conditions.Text("last") };
        }

        return new Script(match, ReadTurns(map));
    }

    private Turn[] ReadTurns(ScriptMap map) => List(map, "turns").Select(item => ReadTurn(item.Node, item.Path)).ToArray();

    private Turn ReadTurn(YamlNode node, string path)
    {
        var map = new ScriptMap(file, path, node, "say", "call", "delay", "fail", "usage", "repeat", "turns");
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
        Fault[] faults = map.Has("fail") ? Items(map, "fail").Select(ReadFault).ToArray() : [];
        if (say is null && calls.Length == 0 && !faults.Any(f => f.Times == Turn.Forever))
            throw map.Fail("a turn must say or call something; allowed: say, call, delay, fail, usage, repeat, turns");
        return new Turn(repeat, new Reply(say ?? "", calls, map.Duration("delay"), faults, ReadUsage(map)), []);
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

    private Fault ReadFault((YamlNode Node, string Path) item)
    {
        var map = new ScriptMap(file, item.Path, item.Node, "status", "retry_after", "message", "cut", "hang", "malformed", "times");
        var times = map.Times("times");
        var kinds = FaultKinds.Where(map.Has).ToArray();
        if (kinds.Length != 1)
            throw map.Fail($"expected one of status, cut, hang, malformed; found {(kinds.Length == 0 ? "none" : string.Join(" and ", kinds))}");
        if (kinds[0] != "status" && OfStatus.FirstOrDefault(map.Has) is { } extra)
            throw map.Fail(extra, "goes with status only");
        switch (kinds[0])
        {
            case "status":
                return new Fault.Status(times, (int)map.Whole("status", 400, 599)!, map.Seconds("retry_after", 86_400), map.Text("message") ?? "scripted failure");
            case "cut":
                map.True("cut");
                return new Fault.Cut(times);
            case "hang":
                map.True("hang");
                return new Fault.Hang(times);
            default:
                var body = map.Text("malformed");
                return new Fault.Malformed(times, body == "true" ? null : body);
        }
    }

    private ScriptedUsage ReadUsage(ScriptMap turn)
    {
        if (!turn.Has("usage"))
            return new ScriptedUsage(false, null, null, null);
        if (turn.Node("usage") is YamlScalarNode)
        {
            return turn.Text("usage") == "none"
                ? new ScriptedUsage(true, null, null, null)
                : throw turn.Fail("usage", $"expected none or a map, found {ScriptMap.Describe(turn.Node("usage"))}");
        }

        const long Most = 10_000_000;
        var map = new ScriptMap(file, turn.PathOf("usage"), turn.Node("usage"), "input", "output", "cached");
        return new ScriptedUsage(false, map.Whole("input", 1, Most), map.Whole("output", 0, Most), map.Whole("cached", 0, Most));
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

    private string Text(YamlNode node, string path) =>
        node is YamlScalarNode { Value.Length: > 0 } scalar ? scalar.Value! : throw ScriptMap.Fail(file, node, path, $"expected a text, found {ScriptMap.Describe(node)}");
}
