using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Core.Manifests;

/// <summary>Reads <c>egress</c>, <c>egress_bytes</c> and <c>services</c>: what a run's box may reach.</summary>
internal static class EgressReader
{
    private const int MaxRules = 100;
    private const int MaxMethods = 16;
    private const int MaxPaths = 32;
    private const int MaxServices = 16;

    internal static IReadOnlyList<EgressRule>? Rules(YamlSection root)
    {
        var rules = root.Sections("egress", MaxRules).Select(Rule).ToList();
        return rules.Count == 0 ? null : rules;
    }

    internal static long? Bytes(YamlSection root)
    {
        var bytes = root.Size("egress_bytes", 1, 1L << 50);
        if (bytes is { } given && root.Sections("egress", MaxRules).Count == 0 && root.Sections("services", MaxServices).Count == 0)
            throw root.Bad("egress_bytes", $"{given} bytes for nothing to reach", "egress_bytes beside egress or services");
        return bytes == EgressDefaults.Bytes ? null : bytes;
    }

    internal static IReadOnlyList<ServiceSetting>? Services(YamlSection root)
    {
        var services = new List<ServiceSetting>();
        foreach (var section in root.Sections("services", MaxServices))
        {
            section.Allow("name", "port");
            var name = section.RequiredText("name", 63);
            if (!EgressNames.IsName(name))
                throw section.Bad("name", name, EgressNames.Allowed);
            var port = (int?)section.Whole("port", 1, 65535) ?? throw section.Bad("port", "nothing", "a port from 1 to 65535");
            if (port == EgressDefaults.ProxyPort)
                throw section.Bad("port", $"{port}", $"any port but {EgressDefaults.ProxyPort}, where the box's proxy listens");
            if (services.Any(s => s.Name == name))
                throw section.Bad("name", $"{name} twice", "each service once");
            if (services.Any(s => s.Port == port))
                throw section.Bad("port", $"{port} twice", "each port once");
            services.Add(new ServiceSetting(name, port));
        }

        return services.Count == 0 ? null : services;
    }

    private static EgressRule Rule(YamlSection rule)
    {
        rule.Allow("host", "port", "mode", "methods", "paths", "secret");
        var host = Host(rule);
        var secret = rule.Text("secret", 63);
        if (secret is not null && !EgressNames.IsName(secret))
            throw rule.Bad("secret", secret, EgressNames.Allowed);
        var (methods, paths) = (Methods(rule), Paths(rule));
        var port = (int?)rule.Whole("port", 1, 65535) ?? 443;
        var looksInto = methods is not null || paths is not null || secret is not null;
        var mode = rule.Word("mode", port == 80 ? EgressMode.Http : looksInto ? EgressMode.Https : EgressMode.Tunnel);
        if (mode == EgressMode.Tunnel && looksInto)
            throw rule.Bad("mode", "tunnel with methods, paths or secret", "https, because nobody looks into a tunnel");
        if (mode == EgressMode.Http && secret is not null)
            throw rule.Bad("secret", "mode: http", "https, because plain HTTP would show the secret to everybody on the way");
        return new EgressRule(host, port, mode) { Methods = methods, Paths = paths, Secret = secret };
    }

    private static string Host(YamlSection rule)
    {
        var text = rule.RequiredText("host", 300);
        var below = text.StartsWith("*.", StringComparison.Ordinal);
        if (HostName.TryParse(below ? text[2..] : text) is not { } host)
            throw rule.Bad("host", text, "a host's name, *.NAME for all below it, or an IP address, without scheme, port and path");
        if (below && (host.Address is not null || !host.Name.Contains('.', StringComparison.Ordinal)))
            throw rule.Bad("host", text, "*.NAME with at least two labels in NAME, as *.example.com");
        return below ? "*." + host.Name : host.Name;
    }

    private static IReadOnlyList<string>? Methods(YamlSection rule)
    {
        var methods = rule.List("methods", MaxMethods);
        foreach (var (method, line) in methods)
        {
            if (method.Length is 0 or > 20 || !method.All(c => char.IsAsciiLetterUpper(c) || c == '-') || method is "CONNECT" or "TRACE")
                throw rule.BadAt(line, "methods", method, "methods in capitals, as GET or POST; never CONNECT or TRACE");
        }

        return methods.Count == 0 ? null : [.. methods.Select(m => m.Value).Distinct().Order(StringComparer.Ordinal)];
    }

    private static IReadOnlyList<string>? Paths(YamlSection rule)
    {
        var paths = rule.List("paths", MaxPaths);
        foreach (var (path, line) in paths)
        {
            if (path.Length > 500 || PathPattern.Problem(path) is not null)
                throw rule.BadAt(line, "paths", path, PathPattern.Allowed);
        }

        return paths.Count == 0 ? null : [.. paths.Select(p => p.Value).Distinct().Order(StringComparer.Ordinal)];
    }
}
