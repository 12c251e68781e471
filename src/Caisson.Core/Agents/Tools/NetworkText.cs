using System.Globalization;
using Caisson.Contracts;

namespace Caisson.Core.Agents.Tools;

/// <summary>What a model is told of the network: knowing what may be reached, it tries less of what may not.</summary>
internal static class NetworkText
{
    private const int MostShown = 20;

    /// <summary><c>null</c> where there is none.</summary>
    internal static string? Of(AgentManifest manifest)
    {
        var ways = (manifest.Egress ?? []).Select(Way).Concat((manifest.Services ?? []).Select(s => string.Create(CultureInfo.InvariantCulture, $"the service {s.Name} on 127.0.0.1:{s.Port}"))).ToList();
        if (ways.Count == 0)
            return null;
        var shown = string.Join("; ", ways.Take(MostShown)) + (ways.Count > MostShown ? "; and more" : "");
        return $"The network is reached through the proxy in its environment, and only: {shown}. Anything else is denied with a reason. ";
    }

    private static string Way(EgressRule rule)
    {
        var scheme = rule.Mode == EgressMode.Http ? "http" : "https";
        var port = rule.Port == (rule.Mode == EgressMode.Http ? 80 : 443) ? "" : string.Create(CultureInfo.InvariantCulture, $":{rule.Port}");
        var methods = rule.Methods ?? (rule.Secret is null ? null : ["GET", "HEAD"]);
        var paths = rule.Paths is { } given ? $" at {string.Join(", ", given)}" : "";
        return $"{(methods is null ? "" : string.Join("/", methods) + " ")}{scheme}://{rule.Host}{port}{paths}{(rule.Secret is null ? "" : " (signed in outside)")}";
    }
}
