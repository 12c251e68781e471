using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Caisson.MockModel.Scripts;

/// <summary>Fills <c>{{turn}}</c>, <c>{{iteration}}</c> and <c>{{input}}</c> into a text.</summary>
internal static partial class Template
{
    // Anything else in double braces, such as the {{.Names}} of a docker command, is left as it stands.
    [GeneratedRegex(@"\{\{ ?([a-z_]+) ?\}\}")]
    private static partial Regex Place();

    public static void Check(string? text, Func<string, ScriptException> fail)
    {
        foreach (Match match in Place().Matches(text ?? ""))
        {
            if (match.Groups[1].Value is not ("turn" or "iteration" or "input"))
                throw fail($"'{match.Value}' is unknown; allowed: {{{{turn}}}}, {{{{iteration}}}}, {{{{input}}}}");
        }
    }

    public static string Fill(string text, long turn, long iteration, string input, bool isJson = false) => Place().Replace(text, match => match.Groups[1].Value switch
    {
        "turn" => turn.ToString(System.Globalization.CultureInfo.InvariantCulture),
        "iteration" => iteration.ToString(System.Globalization.CultureInfo.InvariantCulture),
        _ => isJson ? JsonEncodedText.Encode(input, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).ToString() : input,
    });
}
