using System.Collections;

namespace Caisson.Server.Configuration;

/// <summary>Reads <c>CAISSON__SECTION__KEY</c>. Names of sections, keys and providers are lower case.</summary>
internal static class EnvironmentSource
{
    private const string Prefix = "CAISSON__";

    internal static IReadOnlyList<ConfigSetting> Read(IDictionary variables)
    {
        var settings = new List<ConfigSetting>();
        foreach (DictionaryEntry variable in variables)
        {
            if (variable.Key is string name && variable.Value is string value && name.StartsWith(Prefix, StringComparison.Ordinal))
                settings.Add(new ConfigSetting(name[Prefix.Length..].ToLowerInvariant().Split("__"), value, $"environment {name}"));
        }

        settings.Sort((a, b) => string.CompareOrdinal(a.Where, b.Where));
        return settings;
    }
}
