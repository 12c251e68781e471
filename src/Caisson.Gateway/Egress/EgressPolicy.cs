using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Egress;

namespace Caisson.Gateway.Egress;

internal abstract record Verdict
{
    internal sealed record Allowed(EgressRule Rule) : Verdict;

    /// <param name="Reason">One line that the model can act on.</param>
    internal sealed record Denied(string Code, string Reason) : Verdict;
}

internal abstract record ConnectVerdict
{
    /// <summary>TLS from end to end.</summary>
    internal sealed record Tunnel : ConnectVerdict;

    /// <summary>Some rule looks at the requests, so all of them are looked at.</summary>
    internal sealed record Inspect : ConnectVerdict;

    internal sealed record Denied(string Code, string Reason) : ConnectVerdict;
}

/// <summary>What a run's rules say. Pure: it is asked before any name is looked up.</summary>
internal sealed class EgressPolicy(IReadOnlyList<EgressRule> rules)
{
    private const string Remedy = "do without it, or ask for a rule under 'egress' in the agent's manifest";
    private static readonly string[] ReadOnly = ["GET", "HEAD"];

    internal IReadOnlyList<EgressRule> Rules => rules;

    internal ConnectVerdict Connect(HostName host, int port)
    {
        var fitting = rules.Where(r => r.Mode != EgressMode.Http && r.Port == port && HostPattern.Matches(r.Host, host)).ToList();
        return fitting.Count == 0 ? new ConnectVerdict.Denied(ErrorCodes.EgressDenied, NoRule("CONNECT", host, port, EgressMode.Http))
            : fitting.Any(r => r.Mode == EgressMode.Https) ? new ConnectVerdict.Inspect()
            : new ConnectVerdict.Tunnel();
    }

    /// <summary>The first rule that fits decides, also about the secret.</summary>
    /// <param name="secure">Within TLS that is looked into.</param>
    /// <param name="path">In its one form; <c>null</c> where it can be read in more than one way.</param>
    internal Verdict Request(bool secure, HostName host, int port, string method, string? path)
    {
        var there = rules.Where(r => r.Port == port && secure == (r.Mode != EgressMode.Http) && HostPattern.Matches(r.Host, host)).ToList();
        if (there.Count == 0)
            return new Verdict.Denied(ErrorCodes.EgressDenied, NoRule(method, host, port, secure ? EgressMode.Http : EgressMode.Https));
        foreach (var rule in there)
        {
            if (MethodsOf(rule)?.Contains(method) != false && (!LooksAtPath(rule) || (path is not null && (rule.Paths is null || rule.Paths.Any(p => PathPattern.Matches(p, path))))))
                return new Verdict.Allowed(rule);
        }

        var what = $"caisson: {method} {host.Name}:{port}{path ?? ""} is denied";
        if (path is null)
            return new Verdict.Denied(ErrorCodes.EgressDenied, $"{what}: its path can be read in more than one way; send it without dot segments, empty segments and encoded slashes");
        var methods = there.Select(MethodsOf).ToList();
        return methods.All(m => m?.Contains(method) == false)
            ? new Verdict.Denied(ErrorCodes.EgressDenied, $"{what}: only {string.Join(", ", methods.SelectMany(m => m!).Distinct().Order(StringComparer.Ordinal))} may be sent there; {Remedy}")
            : new Verdict.Denied(ErrorCodes.EgressDenied, $"{what}: no rule of this host allows the path; {Remedy}");
    }

    /// <summary>A secret without methods may be used for reading only.</summary>
    private static IReadOnlyList<string>? MethodsOf(EgressRule rule) => rule.Methods ?? (rule.Secret is null ? null : ReadOnly);

    private static bool LooksAtPath(EgressRule rule) => rule.Paths is not null || rule.Secret is not null;

    /// <param name="other">The way that it did not come.</param>
    private string NoRule(string verb, HostName host, int port, EgressMode other)
    {
        var what = $"caisson: {verb} {host.Name}:{port} is denied";
        if (rules.FirstOrDefault(r => r.Port == port && (other == EgressMode.Http) == (r.Mode == EgressMode.Http) && HostPattern.Matches(r.Host, host)) is { } elsewhere)
            return $"{what}: this host may be reached by {Words.Of(elsewhere.Mode == EgressMode.Http ? EgressMode.Http : EgressMode.Https)} only; use {(elsewhere.Mode == EgressMode.Http ? "http" : "https")}://";
        return $"{what}: no rule of this agent names this host and port; {Remedy}";
    }
}
