using System.Globalization;
using System.Net;
using Caisson.Core;
using Caisson.Gateway.Providers;

namespace Caisson.Server.Configuration;

public abstract record ConfigOutcome
{
    public sealed record Valid(ServerOptions Options) : ConfigOutcome;

    public sealed record Invalid(IReadOnlyList<ConfigProblem> Problems) : ConfigOutcome;
}

/// <summary>Lays the sources over one another, gives each setting its meaning and reports every problem at once.</summary>
public static class ConfigReader
{
    private const string Known =
        "server.listen, data.directory, prices, engine.max_concurrent_runs, engine.drain_limit, " +
        SandboxServerOptions.Keys + ", " + StorageOptions.Keys + ", " + EgressSection.Keys + ", " +
        ProviderSection.Keys;

    /// <param name="file">From <c>--config</c>; <c>null</c> reads <c>caisson.toml</c> in the working directory if there is one.</param>
    /// <param name="flags">From the command line; they win.</param>
    /// <param name="dataDirectory">In place of the default.</param>
    public static ConfigOutcome Read(string? file, System.Collections.IDictionary environment, IReadOnlyList<ConfigSetting> flags, string? dataDirectory)
    {
        const string usual = "caisson.toml";
        var path = file ?? (File.Exists(usual) ? usual : null);
        IReadOnlyList<ConfigSetting> fromFile = [];
        if (path is not null)
        {
            (fromFile, var problem) = TomlSource.ReadFile(path);
            if (problem is not null)
                return new ConfigOutcome.Invalid([problem]);
        }

        IEnumerable<ConfigSetting> defaults = dataDirectory is null ? [] : [new ConfigSetting(["data", "directory"], dataDirectory, "default")];
        return Bind([.. defaults, .. fromFile, .. EnvironmentSource.Read(environment), .. flags]);
    }

    internal static ConfigOutcome Bind(IReadOnlyList<ConfigSetting> settings)
    {
        var options = new ServerOptions();
        var problems = new List<ConfigProblem>();
        var providers = new SortedDictionary<string, (ProviderOptions Options, string Where)>(StringComparer.Ordinal);
        var egress = new EgressSection();
        foreach (var setting in settings)
        {
            if (Apply(setting, options, egress, providers) is { } message)
                problems.Add(new ConfigProblem(setting.Where, $"{setting.Key}: {message}"));
        }

        options.Providers = [.. providers.Values.Select(p => p.Options)];
        foreach (var (provider, where) in providers.Values)
            problems.AddRange(ProviderOptions.Validate([provider]).Select(f => new ConfigProblem(where, f.Message)));
        problems.AddRange(ProviderOptions.UnknownFallbacks(options.Providers).Select(f => new ConfigProblem(providers.First(p => f.Message.StartsWith($"providers.{p.Key}:", StringComparison.Ordinal)).Value.Where, f.Message)));
        (options.Egress, var unusable) = egress.Finish();
        problems.AddRange(unusable);
        return problems.Count > 0 ? new ConfigOutcome.Invalid(problems) : new ConfigOutcome.Valid(options);
    }

    /// <summary>What is wrong with the setting, or <c>null</c>.</summary>
    private static string? Apply(ConfigSetting setting, ServerOptions options, EgressSection egress, SortedDictionary<string, (ProviderOptions Options, string Where)> providers)
    {
        var text = setting.Text;
        switch (setting.Path.ToArray())
        {
            case ["server", "listen"]:
                return Listen(text, value => options.Listen = value);
            case ["data", "directory"]:
                return Path(text, value => options.DataDirectory = value);
            case ["prices"]:
                return PricesSetting.Apply(text, value => options.Prices = value);
            case ["sandbox", var key]:
                return options.Sandbox.Apply(key, text);
            case ["sandbox", "images", var name]:
                if (name == "host" || !text.Contains(':', StringComparison.Ordinal))
                    return $"found '{text}', allowed is dir:FOLDER, tar:FILE, oci:FOLDER:TAG, oci-archive:FILE or docker://NAME, under a name other than host";
                options.Sandbox.Images[name] = text;
                return null;
            case ["engine", "max_concurrent_runs"]:
                return Whole(text, 1, 100_000, value => options.MaxConcurrentRuns = value);
            case ["engine", "drain_limit"]:
                return Duration(text, TimeSpan.FromMinutes(10), value => options.DrainLimit = value);
            case ["storage", var key]:
                return options.Storage.Apply(key, text);
            case ["egress" or "services", ..]:
                return egress.Apply([.. setting.Path], text, setting.Where);
            case ["providers", var name, .. var rest]:
                if (!providers.TryGetValue(name, out var provider))
                    providers[name] = provider = (new ProviderOptions { Name = name }, setting.Where);
                return ProviderSection.Apply(rest, text, provider.Options);
            default:
                return $"unknown key; known are {Known}";
        }
    }

    private static string? Listen(string text, Action<IPEndPoint> use)
    {
        var given = text.StartsWith("localhost:", StringComparison.OrdinalIgnoreCase) ? "127.0.0.1" + text["localhost".Length..] : text;
        if (!given.Contains(':', StringComparison.Ordinal) || !IPEndPoint.TryParse(given, out var address) || given.EndsWith(']'))
            return $"found '{text}', allowed is ADDRESS:PORT, as 127.0.0.1:7311 or [::1]:7311";
        if (!IPAddress.IsLoopback(address.Address))
            return $"found '{text}', but this version has no authentication and listens on loopback only: use 127.0.0.1:PORT behind a proxy that authenticates";
        use(address);
        return null;
    }

    internal static string? Path(string text, Action<string> use)
    {
        if (text.Length == 0 || text.Contains('\0', StringComparison.Ordinal))
            return "found an empty path, allowed is a path";
        use(System.IO.Path.GetFullPath(text));
        return null;
    }

    internal static string? Whole(string text, int least, int most, Action<int> use)
    {
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value < least || value > most)
            return $"found '{text}', allowed is a whole number from {least} to {most}";
        use(value);
        return null;
    }

    internal static string? Duration(string text, TimeSpan most, Action<TimeSpan> use)
    {
        if (!Durations.TryParse(text, out var value) || value <= TimeSpan.Zero || value > most)
            return $"found '{text}', allowed is a duration as 500ms, 30s, 10m, at most {most:c}";
        use(value);
        return null;
    }
}
