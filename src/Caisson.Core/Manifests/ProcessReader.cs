using Caisson.Contracts;

namespace Caisson.Core.Manifests;

/// <summary>Reads the section <c>process</c> of a manifest, and what other sections say of programs in the same words.</summary>
internal static class ProcessReader
{
    private const int MostArguments = 256;
    private const int MostVariables = 100;
    private const int MostCharacters = 32 << 10;

    internal static ProcessSettings Read(YamlSection process)
    {
        process.Allow("command", "env", "on_divergence");
        return new ProcessSettings(Command(process), Variables(process)) { OnDivergence = process.Word("on_divergence", DivergencePolicy.Live) };
    }

    internal static IReadOnlyList<string> Command(YamlSection process)
    {
        var command = process.List("command", MostArguments);
        if (command.Count == 0)
            throw process.Bad("command", "nothing", "a program and its arguments, as [node, agent.js]");
        foreach (var (part, line) in command)
        {
            if (part.Contains('\0', StringComparison.Ordinal))
                throw process.BadAt(line, "command", "a zero byte", "text without zero bytes");
        }

        return [.. command.Select(c => c.Value)];
    }

    internal static Dictionary<string, string> Variables(YamlSection process)
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        if (process.Section("env") is { } section)
        {
            if (section.Keys.Count > MostVariables)
                throw process.Bad("env", $"{section.Keys.Count} variables", $"at most {MostVariables}");
            foreach (var name in section.Keys)
            {
                if (name.Length == 0 || name.AsSpan().ContainsAny('=', '\0'))
                    throw section.Bad(name, name, "a name without '='");
                var value = section.RequiredText(name, MostCharacters);
                if (value.Contains('\0', StringComparison.Ordinal))
                    throw section.Bad(name, "a zero byte", "text without zero bytes");
                variables[name] = value;
            }
        }

        return variables;
    }
}
