using System.Globalization;
using Caisson.Core.Budgets;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;
using Tokens = YamlDotNet.Core.Tokens;

namespace Caisson.Core.Manifests;

/// <summary>One mapping of a YAML file, read strictly; every complaint knows its file, line and key.</summary>
internal sealed class YamlSection
{
    private const int MaxDepth = 16;

    private readonly string _file;
    private readonly string _path;
    private readonly YamlMappingNode _node;
    private readonly Dictionary<string, YamlNode> _values = new(StringComparer.Ordinal);

    private YamlSection(string file, string path, YamlMappingNode node)
    {
        (_file, _path, _node) = (file, path, node);
        foreach (var (key, value) in node.Children)
        {
            if (key is not YamlScalarNode { Value: { } name })
                throw new ManifestException($"{file}:{key.Start.Line}: {path}: found a key that is not a word, allowed are words");
            if (!_values.TryAdd(name, value))
                throw new ManifestException($"{file}:{key.Start.Line}: {Full(name)}: duplicate key, allowed is each key once");
        }
    }

    internal static YamlSection Load(string text, string file)
    {
        // The tokens are looked at before the tree is built from them: a document of a few bytes with aliases of aliases
        // unfolds to gigabytes, a deep one overflows the parser's stack, and a broken one may never come to its end.
        var scanner = new Scanner(new StringReader(text), skipComments: true);
        var depth = 0;
        while (scanner.MoveNext())
        {
            var line = scanner.Current!.Start.Line;
            switch (scanner.Current)
            {
                case Tokens.AnchorAlias or Tokens.Anchor:
                    throw new ManifestException($"{file}:{line}: found an anchor or alias, allowed are plain values");
                case Tokens.Error error:
                    throw new ManifestException($"{file}:{line}: not valid YAML: {error.Value.ReplaceLineEndings(" ")}");
                case Tokens.BlockMappingStart or Tokens.BlockSequenceStart or Tokens.FlowMappingStart or Tokens.FlowSequenceStart when ++depth > MaxDepth:
                    throw new ManifestException($"{file}:{line}: found more than {MaxDepth} levels, allowed are keys with values, lists and one more level of keys");
                case Tokens.BlockEnd or Tokens.FlowMappingEnd or Tokens.FlowSequenceEnd:
                    depth--;
                    break;
            }
        }

        var stream = new YamlStream();
        stream.Load(new StringReader(text));
        if (stream.Documents is not [{ RootNode: YamlMappingNode root }])
            throw new ManifestException($"{file}:1: found {(stream.Documents.Count == 0 ? "nothing" : "something else")}, allowed is one document of keys and values");
        return new YamlSection(file, "", root);
    }

    internal void Allow(params ReadOnlySpan<string> keys)
    {
        foreach (var (key, _) in _node.Children)
        {
            var name = ((YamlScalarNode)key).Value!;
            if (!keys.Contains(name))
                throw new ManifestException($"{_file}:{key.Start.Line}: {Full(name)}: unknown key, allowed are {string.Join(", ", keys.ToArray())}");
        }
    }

    internal ManifestException Bad(string key, string found, string allowed) =>
        BadAt(_values.TryGetValue(key, out var node) ? node.Start.Line : _node.Start.Line, key, found, allowed);

    internal ManifestException BadAt(long line, string key, string found, string allowed) =>
        new($"{_file}:{line}: {Full(key)}: found {Quote(found)}, allowed is {allowed}");

    internal IReadOnlyCollection<string> Keys => _values.Keys;

    internal YamlSection? Section(string key) => _values.GetValueOrDefault(key) switch
    {
        null => null,
        YamlMappingNode node => new YamlSection(_file, Full(key), node),
        var other => throw Bad(key, Shape(other), "keys and values"),
    };

    /// <summary>A list of mappings, each a section of its own.</summary>
    internal IReadOnlyList<YamlSection> Sections(string key, int most) => _values.GetValueOrDefault(key) switch
    {
        null => [],
        YamlSequenceNode list when list.Children.Count > most => throw Bad(key, $"{list.Children.Count} items", $"at most {most}"),
        YamlSequenceNode list => [.. list.Children.Select((item, i) => item is YamlMappingNode node
            ? new YamlSection(_file, $"{Full(key)}[{i}]", node)
            : throw BadAt(item.Start.Line, key, Shape(item), "a list of keys and values"))],
        var other => throw Bad(key, Shape(other), "a list"),
    };

    internal string? Text(string key, int maxLength)
    {
        if (Scalar(key) is not { } text)
            return null;
        if (text.Length == 0 || text.Length > maxLength)
            throw Bad(key, text.Length == 0 ? "nothing" : $"{text.Length} characters", $"1 to {maxLength} characters");
        return text;
    }

    internal string RequiredText(string key, int maxLength) => Text(key, maxLength) ?? throw Bad(key, "nothing", "a text");

    internal IReadOnlyList<(string Value, long Line)> List(string key, int most)
    {
        switch (_values.GetValueOrDefault(key))
        {
            case null:
                return [];
            case YamlSequenceNode list when list.Children.Count <= most:
                return [.. list.Children.Select(item => item is YamlScalarNode { Value: { } value }
                    ? (value, item.Start.Line)
                    : throw BadAt(item.Start.Line, key, Shape(item), "a list of words"))];
            case YamlSequenceNode list:
                throw Bad(key, $"{list.Children.Count} items", $"at most {most}");
            case var other:
                throw Bad(key, Shape(other), "a list");
        }
    }

    internal long? Whole(string key, long least, long most) =>
        Scalar(key) is not { } text ? null
        : long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most ? value
        : throw Bad(key, text, $"a whole number from {least} to {most}");

    /// <summary>A whole number that may end in k or m: <c>200k</c>.</summary>
    internal long? Count(string key, long least, long most)
    {
        if (Scalar(key) is not { } text)
            return null;
        var (digits, factor) = text switch
        {
            [.. var d, 'k'] => (d, 1_000L),
            [.. var d, 'm'] => (d, 1_000_000L),
            _ => (text, 1L),
        };
        return long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value <= most / factor && value * factor >= least
            ? value * factor
            : throw Bad(key, text, $"a whole number from {least} to {most}, as 60, 200k or 2m");
    }

    internal double? Number(string key, double least, double most) =>
        Scalar(key) is not { } text ? null
        : double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most ? value
        : throw Bad(key, text, string.Create(CultureInfo.InvariantCulture, $"a number from {least} to {most}"));

    internal long? Size(string key, long least, long most)
    {
        if (Scalar(key) is not { } text)
            return null;
        if (Sizes.TryParse(text, out var size) && size >= least && size <= most)
            return size;
        throw Bad(key, text, $"a size from {Sizes.Text(least)} to {Sizes.Text(most)}, as 512MiB or 1GiB");
    }

    internal TimeSpan? Duration(string key, TimeSpan least, TimeSpan most)
    {
        if (Scalar(key) is not { } text)
            return null;
        return Durations.TryParse(text, out var value) && value >= least && value <= most
            ? value
            : throw Bad(key, text, $"a time from {Durations.Text(least)} to {Durations.Text(most)}, as 90s, 15m, 2h or 1d");
    }

    internal long? Usd(string key) =>
        Scalar(key) is not { } text ? null
        : Money.TryParse(text, out var nano) && nano > 0 ? nano
        : throw Bad(key, text, "a positive amount of US dollars with at most 9 decimals, as 2.00");

    /// <param name="never">A value that no manifest may name.</param>
    internal T Word<T>(string key, T otherwise, params ReadOnlySpan<T> never) where T : struct, Enum
    {
        if (Scalar(key) is not { } text)
            return otherwise;
        var words = new List<string>();
        foreach (var value in Enum.GetValues<T>())
        {
            if (never.Contains(value))
                continue;
            if (Words.Of(value) == text)
                return value;
            words.Add(Words.Of(value));
        }

        throw Bad(key, text, string.Join(", ", words));
    }

    private string? Scalar(string key) => _values.GetValueOrDefault(key) switch
    {
        null => null,
        YamlScalarNode { Value: { } value } => value,
        var other => throw Bad(key, Shape(other), "one value"),
    };

    private string Full(string key) => _path.Length == 0 ? key : $"{_path}.{key}";

    private static string Shape(YamlNode node) => node switch
    {
        YamlMappingNode => "keys and values",
        YamlSequenceNode => "a list",
        _ => "a value",
    };

    private static string Quote(string found)
    {
        var cut = found.Length > 60 ? found[..60] + "…" : found;
        return $"'{cut.ReplaceLineEndings(" ")}'";
    }
}

/// <summary>Carries the one complaint out of the reader's depth; it never leaves <see cref="ManifestReader"/>.</summary>
internal sealed class ManifestException(string message) : Exception(message);
