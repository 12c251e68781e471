namespace Caisson.Gateway.Egress.Http;

/// <summary>The letters of HTTP, and what a box may send of it at most.</summary>
internal static class Grammar
{
    internal const int MaxHead = 32 << 10;
    internal const int MaxTarget = 8 << 10;
    internal const int MaxHeaders = 100;
    internal const int MaxMethod = 20;

    internal static bool IsTokenChar(char c) => char.IsAsciiLetterOrDigit(c) || "!#$%&'*+-.^_`|~".Contains(c, StringComparison.Ordinal);

    internal static bool IsToken(string text) => text.Length > 0 && text.All(IsTokenChar);
}

/// <summary>Headers of one hop: they are never sent on.</summary>
internal static class HopHeaders
{
    private static readonly HashSet<string> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings",
        "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Authentication-Info", "Expect",
    };

    // Servers that honour these act on another method or path than the one that was looked at.
    private static readonly HashSet<string> Overrides = new(StringComparer.OrdinalIgnoreCase)
    {
        "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Original-Method",
    };

    internal static bool IsOfOneHop(string name) => Names.Contains(name);

    internal static bool OverridesRequest(string name) => Overrides.Contains(name);

    /// <summary>Headers that frame or address a request: nobody may set them from outside of it.</summary>
    internal static bool IsReserved(string name) =>
        Names.Contains(name) || name.Equals("Host", StringComparison.OrdinalIgnoreCase) || name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase);
}
