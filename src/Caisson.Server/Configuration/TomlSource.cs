using System.Globalization;
using Tomlyn;
using Tomlyn.Parsing;
using Tomlyn.Syntax;

namespace Caisson.Server.Configuration;

/// <summary>Reads <c>caisson.toml</c> into settings that remember their line.</summary>
internal static class TomlSource
{
    private const int MaxBytes = 1 << 20;

    internal static (IReadOnlyList<ConfigSetting> Settings, ConfigProblem? Problem) ReadFile(string path)
    {
        try
        {
            return new FileInfo(path).Length > MaxBytes
                ? ([], new ConfigProblem(path, $"more than {MaxBytes} bytes: this is no configuration file"))
                : Read(File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ([], new ConfigProblem(path, $"cannot be read ({e.Message}): correct --config or the file's permissions"));
        }
    }

    internal static (IReadOnlyList<ConfigSetting> Settings, ConfigProblem? Problem) Read(string text, string file)
    {
        // Only the first error is told: those after it are mostly its echo.
        var document = SyntaxParser.Parse(text, file);
        if (document.Diagnostics.FirstOrDefault(d => d.Kind == DiagnosticMessageKind.Error) is { } error)
            return ([], new ConfigProblem($"{file}:{error.Span.Start.Line + 1}", $"not TOML: {error.Message}"));
        var settings = new List<ConfigSetting>();
        try
        {
            return (settings, ReadEvents(TomlParser.Create(text), file, settings));
        }
        catch (TomlException e)
        {
            return ([], new ConfigProblem(file, $"not TOML: {e.Message.ReplaceLineEndings(" ")}"));
        }
    }

    private static ConfigProblem? ReadEvents(TomlParser events, string file, List<ConfigSetting> settings)
    {
        var path = new Stack<string>();
        while (events.MoveNext())
        {
            var current = events.Current;
            var where = $"{file}:{current.Line}";
            switch (current.Kind)
            {
                case TomlParseEventKind.PropertyName:
                    path.Push(events.GetPropertyName());
                    break;
                case TomlParseEventKind.EndTable when path.Count > 0:
                    path.Pop();
                    break;
                case TomlParseEventKind.String:
                    Add(events.GetString());
                    break;
                case TomlParseEventKind.Integer:
                    Add(current.GetInt64().ToString(CultureInfo.InvariantCulture));
                    break;
                case TomlParseEventKind.Float:
                    Add(current.GetDouble().ToString("0.#################", CultureInfo.InvariantCulture));
                    break;
                case TomlParseEventKind.Boolean:
                    Add(current.GetBoolean() ? "true" : "false");
                    break;
                case TomlParseEventKind.StartArray or TomlParseEventKind.DateTime:
                    return new ConfigProblem(where, $"{string.Join('.', path.Reverse())}: found a list or a date, allowed is one text, number, true or false");
            }

            void Add(string value)
            {
                settings.Add(new ConfigSetting(path.Reverse().ToArray(), value, where));
                path.Pop();
            }
        }

        return null;
    }
}
