using System.Security.Cryptography.X509Certificates;
using Caisson.Core.Egress;
using Caisson.Gateway.Egress.Addresses;
using Caisson.Gateway.Egress.Tls;

namespace Caisson.Gateway.Egress;

/// <summary>What all connections of one box share.</summary>
/// <param name="Secrets">Those that its rules name.</param>
/// <param name="Trusted">More authorities that upstream servers may be signed by.</param>
internal sealed record BoxWall(
    EgressPolicy Policy,
    Destinations Destinations,
    IEgressConnector Connector,
    EgressMeter Meter,
    IEgressLog Log,
    IReadOnlyDictionary<string, Secret> Secrets,
    BoxAuthority Authority,
    X509Certificate2Collection Trusted,
    TimeProvider Clock)
{
    private const int LongestShown = 300;

    /// <summary>Takes a decision down; what the box wrote is cut to a bound.</summary>
    internal void Decided(string code, string verb, string host, int port, string? path = null, string? secret = null, string? reason = null) =>
        Log.Decided(new EgressDecision(code, verb, Cut(host), port, path is null ? null : Cut(path), secret, reason is null ? null : Cut(reason)));

    private static string Cut(string text) => text.Length <= LongestShown ? text : text[..LongestShown] + "…";
}
