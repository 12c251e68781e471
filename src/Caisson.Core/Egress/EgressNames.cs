namespace Caisson.Core.Egress;

/// <summary>Names of secrets and services: a manifest uses them, the server's configuration says what they are.</summary>
public static class EgressNames
{
    public const string Allowed = "1 to 63 of lower-case letters, digits, '-' and '_', beginning with a letter";

    public static bool IsName(string text) =>
        text.Length is > 0 and <= 63 && char.IsAsciiLetterLower(text[0]) && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');

    /// <summary>What the box has in a secret's place.</summary>
    public static string Placeholder(string secret) => $"caisson-secret-{secret}";

    /// <summary>The variable that holds the placeholder.</summary>
    public static string Variable(string secret) => "CAISSON_SECRET_" + secret.ToUpperInvariant().Replace('-', '_');
}

public static class EgressDefaults
{
    /// <summary>Bytes past a box's wall where the manifest says nothing.</summary>
    public const long Bytes = 1L << 30;

    /// <summary>Where the proxy listens on the box's loopback.</summary>
    public const int ProxyPort = 3128;
}
