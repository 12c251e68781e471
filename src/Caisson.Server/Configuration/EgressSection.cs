using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress;

namespace Caisson.Server.Configuration;

/// <summary>The sections <c>[egress]</c>, <c>[egress.secrets.NAME]</c> and <c>[services.NAME]</c>: what the operator grants to boxes.</summary>
public sealed class EgressSection
{
    internal const string Keys = "egress.allow_private, .trusted_file, egress.secrets.NAME.env, .file, .header, .hosts, services.NAME.address";

    private const int LongestSecretFile = 64 << 10;
    private readonly SortedDictionary<string, SecretSource> _secrets = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, IPEndPoint> _services = new(StringComparer.Ordinal);
    private IReadOnlyList<IPEndPoint> _allowPrivate = [];
    private X509Certificate2Collection _trusted = [];

    private sealed class SecretSource(string name, string where)
    {
        internal string Where => where;
        internal string? Environment { get; set; }
        internal string? File { get; set; }
        internal SecretOptions Options { get; } = new() { Name = name };
    }

    /// <summary>What is wrong with the setting, or <c>null</c>.</summary>
    internal string? Apply(string[] path, string text, string where)
    {
        switch (path)
        {
            case ["egress", "allow_private"]:
                return Addresses(text, value => _allowPrivate = value);
            case ["egress", "trusted_file"]:
                return Trusted(text);
            case ["egress", "secrets", var name, var key]:
                if (!_secrets.TryGetValue(name, out var secret))
                    _secrets[name] = secret = new SecretSource(name, where);
                return Secret(secret, key, text);
            case ["services", var name, "address"]:
                if (!EgressNames.IsName(name))
                    return $"'{name}' is no name of a service; allowed are {EgressNames.Allowed}";
                return Addresses(text, value => _services[name] = value[0], most: 1);
            default:
                return $"unknown key; known are {Keys}";
        }
    }

    /// <summary>Reads the secrets. Problems never show a value.</summary>
    internal (EgressOptions Options, IReadOnlyList<ConfigProblem> Problems) Finish()
    {
        var problems = new List<ConfigProblem>();
        foreach (var secret in _secrets.Values)
        {
            if (Value(secret) is { } unreadable)
                problems.Add(new ConfigProblem(secret.Where, $"egress.secrets.{secret.Options.Name}: {unreadable}"));
            else
                problems.AddRange(secret.Options.Problems().Select(p => new ConfigProblem(secret.Where, p)));
        }

        return (new EgressOptions { AllowPrivate = _allowPrivate, Secrets = [.. _secrets.Values.Select(s => s.Options)], Services = _services, Trusted = _trusted }, problems);
    }

    private static string? Secret(SecretSource secret, string key, string text)
    {
        switch (key)
        {
            case "env":
                secret.Environment = text;
                return null;
            case "file":
                secret.File = Path.GetFullPath(text.Length == 0 ? "." : text);
                return null;
            case "header":
                secret.Options.Header = text;
                return null;
            case "hosts":
                secret.Options.Hosts = Split(text);
                return null;
            default:
                return $"unknown key; known are {Keys}";
        }
    }

    private static string? Value(SecretSource secret)
    {
        switch (secret)
        {
            case { Environment: not null, File: not null }:
                return "found both env and file, allowed is one of them";
            case { Environment: { } variable }:
                secret.Options.Value = Environment.GetEnvironmentVariable(variable);
                return secret.Options.Value is null ? $"the environment variable {variable} is not set" : null;
            case { File: { } path }:
                try
                {
                    if (new FileInfo(path).Length > LongestSecretFile)
                        return $"{path} has more than {LongestSecretFile} bytes";
                    secret.Options.Value = File.ReadAllText(path).Trim();
                    return null;
                }
                catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
                {
                    return $"{path} cannot be read ({problem.Message})";
                }

            default:
                return "has no value; set env = \"VARIABLE\" or file = \"PATH\"";
        }
    }

    private string? Trusted(string path)
    {
        try
        {
            var found = new X509Certificate2Collection();
            found.ImportFromPemFile(path);
            _trusted = found;
            return found.Count > 0 ? null : $"{path} holds no certificate, allowed is a file with certificates as PEM";
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return $"{path} cannot be read ({problem.Message}), allowed is a file with certificates as PEM";
        }
    }

    private static string? Addresses(string text, Action<IReadOnlyList<IPEndPoint>> use, int most = 100)
    {
        var found = new List<IPEndPoint>();
        foreach (var item in Split(text))
        {
            if (!item.Contains(':', StringComparison.Ordinal) || item.EndsWith(']') || !IPEndPoint.TryParse(item, out var address) || address.Port == 0)
                return $"found '{item}', allowed is ADDRESS:PORT{(most > 1 ? ", more of them with commas between" : "")}, as 127.0.0.1:5432 or [::1]:5432";
            found.Add(address);
        }

        if (found.Count is 0 || found.Count > most)
            return $"found {found.Count} addresses, allowed are 1 to {most}";
        use(found);
        return null;
    }

    private static string[] Split(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
