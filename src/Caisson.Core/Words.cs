using System.Text;
using Caisson.Contracts;

namespace Caisson.Core;

/// <summary>The words that people read for our enums: lower case, as in the API.</summary>
public static class Words
{
    public static string Of<T>(T value) where T : struct, Enum
    {
        var name = value.ToString();
        var text = new StringBuilder(name.Length + 4);
        foreach (var c in name)
        {
            if (char.IsUpper(c) && text.Length > 0)
                text.Append('_');
            text.Append(char.ToLowerInvariant(c));
        }

        return text.ToString();
    }
}

internal static class Sizes
{
    internal static int Utf8(string text) => Encoding.UTF8.GetByteCount(text);

    internal static string Text(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.#} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.#} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.#} KiB",
        _ => $"{bytes} bytes",
    };
}

internal static class EngineVersion
{
    internal static readonly string Text = typeof(EngineVersion).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";
}
