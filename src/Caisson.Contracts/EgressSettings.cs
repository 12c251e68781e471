using System.Text.Json.Serialization;

namespace Caisson.Contracts;

/// <summary>One way out of a run's box. What no rule names is denied.</summary>
/// <param name="Host">A name, <c>*.</c> and a name for everything below it, or an IP address; in lower case, with punycode.</param>
/// <param name="Port">Default 443.</param>
/// <param name="Mode">How the traffic travels, and whether it is looked into.</param>
public sealed record EgressRule(string Host, int Port, EgressMode Mode)
{
    /// <summary><c>null</c>: every method; with a secret GET and HEAD.</summary>
    public IReadOnlyList<string>? Methods { get; init; }

    /// <summary>Patterns of paths: <c>*</c> is one segment or a part of it, <c>**</c> any number of them. <c>null</c>: every path.</summary>
    public IReadOnlyList<string>? Paths { get; init; }

    /// <summary>A secret of the server's configuration, put into the requests outside of the box.</summary>
    public string? Secret { get; init; }
}

[JsonConverter(typeof(WordConverter<EgressMode>))]
public enum EgressMode
{
    /// <summary>Plain HTTP through the proxy; every request is looked at.</summary>
    Http = 1,
    /// <summary>TLS that is opened on the way with the box's own authority; every request is looked at.</summary>
    Https = 2,
    /// <summary>TLS from end to end: only the host's name is seen.</summary>
    Tunnel = 3,
}

/// <summary>A TCP service that the server's configuration grants, on a port of the box's own loopback.</summary>
public sealed record ServiceSetting(string Name, int Port);
