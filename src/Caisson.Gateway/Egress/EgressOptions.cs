using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress;

/// <summary>What an operator grants to boxes: secrets, services, and the private addresses that egress may go to all the same.</summary>
public sealed class EgressOptions
{
    /// <summary>Addresses that are refused by default and may be reached, each with its port. Default: none.</summary>
    public IReadOnlyList<IPEndPoint> AllowPrivate { get; set; } = [];

    public IReadOnlyList<SecretOptions> Secrets { get; set; } = [];

    public IReadOnlyDictionary<string, IPEndPoint> Services { get; set; } = new Dictionary<string, IPEndPoint>();

    /// <summary>PEM with more authorities that upstream servers may be signed by. Default: the system's only.</summary>
    public X509Certificate2Collection Trusted { get; set; } = [];

    /// <summary>PEM of the authorities that programs in boxes trust, beside the box's own. Default: the first known place of this system that has one.</summary>
    public ReadOnlyMemory<byte>? SystemBundle { get; set; }
}

/// <summary>A secret that requests get outside of the box.</summary>
public sealed class SecretOptions
{
    public const string Mark = "{secret}";
    public const int LeastLength = 8;
    private const int MostLength = 4_096;

    public required string Name { get; init; }

    public string? Value { get; set; }

    /// <summary>The header's name and its text, in which <c>{secret}</c> stands for the value. Default: a bearer token.</summary>
    public string Header { get; set; } = "Authorization: Bearer " + Mark;

    /// <summary>Where it may go: names, and <c>*.</c> with a name for all below it.</summary>
    public IReadOnlyList<string> Hosts { get; set; } = [];

    /// <summary>What is wrong with it, as one line for each; the value itself is never shown.</summary>
    public IEnumerable<string> Problems()
    {
        if (!EgressNames.IsName(Name))
            yield return $"egress.secrets.{Name}: the name is not allowed; allowed are {EgressNames.Allowed}";
        if (Value is not { } value)
            yield return $"egress.secrets.{Name}: has no value; set env or file";
        else if (value.Length is < LeastLength or > MostLength || value.Any(c => c is <= ' ' or >= (char)127))
            yield return $"egress.secrets.{Name}: its value has {value.Length} characters, allowed are {LeastLength} to {MostLength} printable ones without blanks";
        var colon = Header.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0 || !Header[..colon].All(Http.Grammar.IsTokenChar) || Header.Any(c => c is < ' ' or >= (char)127) || Header.Split(Mark).Length != 2 || Http.HopHeaders.IsReserved(Header[..colon]))
            yield return $"egress.secrets.{Name}.header: found '{Header}', allowed is NAME: TEXT with {Mark} once in it, as Authorization: Bearer {Mark}";
        if (Hosts.Count == 0)
            yield return $"egress.secrets.{Name}: has no hosts; name those that it may go to, as hosts = \"api.example.com\"";
        foreach (var host in Hosts)
        {
            if (HostPattern.Normal(host) != host)
                yield return $"egress.secrets.{Name}.hosts: found '{host}', allowed are names in lower case, and *.NAME for all below one";
        }
    }

    internal Secret ToSecret()
    {
        var colon = Header.IndexOf(':', StringComparison.Ordinal);
        return new Secret(Name, Header[..colon], Header[(colon + 1)..].Trim().Replace(Mark, Value!, StringComparison.Ordinal), Encoding.ASCII.GetBytes(Value!), Hosts);
    }
}

/// <param name="HeaderValue">With the secret in it.</param>
internal sealed record Secret(string Name, string HeaderName, string HeaderValue, ReadOnlyMemory<byte> Value, IReadOnlyList<string> Hosts)
{
    internal bool MayGoTo(string host) => Hosts.Any(pattern => HostPattern.Covers(pattern, host));

    // The records' own text would show the value in a log.
    public override string ToString() => $"secret {Name}";
}

/// <summary>Names as rules have them: exact, or <c>*.</c> and a name.</summary>
internal static class HostPattern
{
    internal static string? Normal(string pattern)
    {
        var below = pattern.StartsWith("*.", StringComparison.Ordinal);
        return HostName.TryParse(below ? pattern[2..] : pattern) is { } host && (!below || host.Address is null) ? (below ? "*." : "") + host.Name : null;
    }

    internal static bool Matches(string pattern, HostName host) =>
        pattern.StartsWith("*.", StringComparison.Ordinal)
            ? host.Address is null && host.Name.EndsWith(pattern[1..], StringComparison.Ordinal)
            : pattern == host.Name;

    /// <summary>Whether every host that <paramref name="inner"/> names is among those of <paramref name="outer"/>.</summary>
    internal static bool Covers(string outer, string inner) =>
        outer == inner || (outer.StartsWith("*.", StringComparison.Ordinal) && HostName.TryParse(inner.StartsWith("*.", StringComparison.Ordinal) ? inner[2..] : inner) is { Address: null } && inner.EndsWith(outer[1..], StringComparison.Ordinal));
}
