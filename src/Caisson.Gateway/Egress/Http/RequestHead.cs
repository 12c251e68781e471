using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress.Http;

internal readonly record struct HeaderLine(string Name, string Value)
{
    internal bool Is(string name) => Name.Equals(name, StringComparison.OrdinalIgnoreCase);
}

/// <param name="Length">Of the body; <c>null</c> where it comes in chunks.</param>
/// <param name="Close">No other request follows on this connection.</param>
/// <param name="AwaitsContinue">The body comes only after a word from us.</param>
internal sealed record RequestHead(string Method, string Target, bool Is11, IReadOnlyList<HeaderLine> Headers, long? Length, string? Host, bool Close, bool AwaitsContinue)
{
    internal bool HasBody => Length is not 0;
}

internal abstract record ParseOutcome
{
    internal sealed record Parsed(RequestHead Head) : ParseOutcome;

    internal sealed record Malformed(string Problem) : ParseOutcome;
}

/// <summary>Where a request goes.</summary>
/// <param name="PathAndQuery">As the box wrote it.</param>
internal sealed record RequestTarget(HostName Host, int Port, string PathAndQuery)
{
    internal string Path => PathAndQuery.Split('?', 2)[0];

    /// <summary>What a request to the proxy itself asks for, or what is wrong with it.</summary>
    internal static (RequestTarget? Target, string? Problem) OfProxy(RequestHead head)
    {
        const string scheme = "http://";
        if (!head.Target.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
            return (null, "this is a proxy: ask for http://HOST/PATH, or CONNECT HOST:PORT for https");
        var rest = head.Target[scheme.Length..];
        var end = rest.AsSpan().IndexOfAny('/', '?');
        var (authority, path) = end < 0 ? (rest, "/") : (rest[..end], rest[end] == '?' ? "/" + rest[end..] : rest[end..]);
        if (Authority.TryParse(authority, 80) is not { } to)
            return (null, "the host of the request is neither a name nor an address");
        return OfSameHost(head, to, 80) is { } problem ? (null, problem) : (new RequestTarget(to.Host, to.Port, path), null);
    }

    /// <summary>The same within a connection that was opened to one host.</summary>
    internal static (RequestTarget? Target, string? Problem) OfConnection(RequestHead head, HostName host, int port)
    {
        if (!head.Target.StartsWith('/'))
            return (null, "within a connection to a host a request begins with its path");
        return OfSameHost(head, new Authority(host, port), 443) is { } problem ? (null, problem) : (new RequestTarget(host, port, head.Target), null);
    }

    private static string? OfSameHost(RequestHead head, Authority to, int usual)
    {
        if (head.Host is not { } named)
            return head.Is11 ? "the Host header is missing" : null;
        return Authority.TryParse(named, usual) == to ? null : "the Host header names another host than the request goes to";
    }
}

/// <summary>A host with its port, written as <c>HOST:PORT</c>.</summary>
internal sealed record Authority(HostName Host, int Port)
{
    /// <param name="usual">The port where none is written; <c>null</c> where one must be.</param>
    internal static Authority? TryParse(string text, int? usual)
    {
        var colon = text.LastIndexOf(':');
        var bracket = text.LastIndexOf(']');
        if (text.StartsWith('[') != (bracket > 0) || (bracket < 0 && text.IndexOf(':', StringComparison.Ordinal) != colon))
            return null;
        var (host, port) = colon > bracket ? (text[..colon], text[(colon + 1)..]) : (text, null);
        if (bracket > 0 && host.Length != bracket + 1)
            return null;
        if (port is null ? usual is null : port.Length is 0 or > 5 || !port.All(char.IsAsciiDigit) || int.Parse(port, System.Globalization.CultureInfo.InvariantCulture) is < 1 or > 65535)
            return null;
        return HostName.TryParse(host) is { } name
            ? new Authority(name, port is null ? usual!.Value : int.Parse(port, System.Globalization.CultureInfo.InvariantCulture))
            : null;
    }
}
