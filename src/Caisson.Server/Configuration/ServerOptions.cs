using System.Net;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Providers;

namespace Caisson.Server.Configuration;

/// <summary>What an operator sets: <c>caisson.toml</c> &lt; environment &lt; flags.</summary>
public sealed class ServerOptions
{
    /// <summary>Where the API listens. Default 127.0.0.1:7311; port 0 takes a free one. Loopback only: this version has no authentication.</summary>
    public IPEndPoint Listen { get; set; } = new(IPAddress.Loopback, 7311);

    /// <summary>Everything durable. One server at a time holds it. Default /var/lib/caisson.</summary>
    public string DataDirectory { get; set; } = "/var/lib/caisson";

    /// <summary>Model providers by name: the part before the slash in a manifest's model.</summary>
    public IReadOnlyList<ProviderOptions> Providers { get; set; } = [];

    public SandboxPaths Sandbox { get; } = new();

    public StorageOptions Storage { get; } = new();

    /// <summary>What boxes may be let out to, where their manifests ask for it.</summary>
    public EgressOptions Egress { get; set; } = new();

    /// <summary>Runs driven at the same time; the rest wait as ready. Default 2,000.</summary>
    public int MaxConcurrentRuns { get; set; } = 2_000;

    /// <summary>How long a server that was told to stop lets steps finish. Default 30 s.</summary>
    public TimeSpan DrainLimit { get; set; } = TimeSpan.FromSeconds(30);
}

/// <summary>Tools of the sandbox provider, where they are not in their usual places.</summary>
public sealed class SandboxPaths
{
    /// <summary>The <c>runsc</c> program. Default: the tools folder, then the PATH.</summary>
    public string? Runsc { get; set; }

    /// <summary>The static guest agent. Default: beside this program.</summary>
    public string? GuestAgent { get; set; }
}
