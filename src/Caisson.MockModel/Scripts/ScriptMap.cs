using System.Globalization;
using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Caisson.MockModel.Scripts;

/// <summary>A YAML map read strictly: only the allowed keys, each of its type. Every complaint names file, line and key.</summary>
internal sealed partial class ScriptMap
{
    private readonly string _file;
    private readonly string _path;
    private readonly YamlMappingNode _node;
    private readonly Dictionary<string, YamlNode> _values = new(StringComparer.Ordinal);

    public ScriptMap(string file, string path, YamlNode node, params ReadOnlySpan<string> allowed)
    {
        _file = file;
        _path = path;
        _node = node as YamlMappingNode ?? throw Fail(file, node, path, $"expected a map, found {Describe(node)}; allowed keys: {string.Join(", ", allowed)}");
        foreach (var (keyNode, value) in _node.Children)
        {
            var key = (keyNode as YamlScalarNode)?.Value ?? "";
            if (!allowed.Contains(key))
                throw Fail(file, keyNode, Join(path, key), $"unknown key; allowed: {string.Join(", ", allowed)}");
            _values[key] = value;
        }
    }

    public bool Has(string key) => _values.ContainsKey(key);

    public YamlNode Node(string key) => _values[key];

    public string PathOf(string key) => Join(_path, key);

    public ScriptException Fail(string problem) => Fail(_file, _node, _path, problem);

    public ScriptException Fail(string key, string problem) => Fail(_file, _values[key], PathOf(key), problem);

    public static ScriptException Fail(string file, YamlNode node, string path, string problem) =>
        Fail(file, node.Start.Line, path, problem);

    public static ScriptException Fail(string file, long line, string path, string problem)
    {
        var where = path.Length == 0 ? "" : $"'{path}': ";
        return new ScriptException(string.Create(CultureInfo.InvariantCulture, $"{file}:{Math.Max(1, line)}: {where}{problem}").ReplaceLineEndings(" "));
    }

    public string? Text(string key)
    {
        if (!Has(key))
            return null;
        return Node(key) is YamlScalarNode { Value: { } text } scalar && !IsNull(scalar)
            ? text
            : throw Fail(key, $"expected a text, found {Describe(Node(key))}");
    }

    public long? Whole(string key, long least, long most)
    {
        if (!Has(key))
            return null;
        return long.TryParse(Scalar(key), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most
            ? value
            : throw Fail(key, $"expected a whole number from {least} to {most}, found {Describe(Node(key))}");
    }

    /// <summary>A count from 1, or <c>forever</c>; 1 where it is not given.</summary>
    public long Times(string key)
    {
        if (!Has(key))
            return 1;
        if (Scalar(key) == "forever")
            return Turn.Forever;
        return long.TryParse(Scalar(key), NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value is >= 1 and <= 1_000_000
            ? value
            : throw Fail(key, $"expected 1 to 1000000 or forever, found {Describe(Node(key))}");
    }

    public double? Seconds(string key, double most)
    {
        if (!Has(key))
            return null;
        return double.TryParse(Scalar(key), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value >= 0 && value <= most
            ? value
            : throw Fail(key, $"expected seconds from 0 to {most.ToString(CultureInfo.InvariantCulture)}, found {Describe(Node(key))}");
    }

    public TimeSpan Duration(string key)
    {
        if (!Has(key))
            return TimeSpan.Zero;
        if (DurationShape().Match(Scalar(key) ?? "") is { Success: true } match)
        {
            var number = double.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);
            var duration = match.Groups[2].Value switch
            {
                "ms" => TimeSpan.FromMilliseconds(number),
                "s" => TimeSpan.FromSeconds(number),
                _ => TimeSpan.FromMinutes(number),
            };
            if (duration <= TimeSpan.FromHours(1))
                return duration;
        }

        throw Fail(key, $"expected a time of at most an hour, such as 200ms, 2s or 1m, found {Describe(Node(key))}");
    }

    /// <summary>A number, or <c>null</c> for <c>true</c>.</summary>
    public int? TrueOrWhole(string key, int most)
    {
        if (Scalar(key) == "true")
            return null;
        return int.TryParse(Scalar(key), NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value <= most
            ? value
            : throw Fail(key, $"expected true or a whole number from 0 to {most}, found {Describe(Node(key))}");
    }

    public static string Describe(YamlNode node) => node switch
    {
        YamlScalarNode scalar when IsNull(scalar) => "nothing",
        YamlScalarNode { Value: { Length: > 40 } text } => $"'{text[..40]}…'",
        YamlScalarNode scalar => $"'{scalar.Value}'",
        YamlSequenceNode => "a list",
        YamlMappingNode => "a map",
        _ => "something else",
    };

    public static bool IsNull(YamlScalarNode scalar) =>
        scalar.Style == ScalarStyle.Plain && scalar.Value is null or "" or "~" or "null";

    private static string Join(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";

    private string? Scalar(string key) => (Node(key) as YamlScalarNode)?.Value;

    [GeneratedRegex(@"\A([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m)\z")]
    private static partial Regex DurationShape();
}
