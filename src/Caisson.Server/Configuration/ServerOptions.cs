using System.Net;
using Caisson.Gateway.Egress;
using Caisson.Gateway.Prices;
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

    /// <summary>What tokens cost. Default: the table of this build; a file of <c>caisson prices import</c> goes before it.</summary>
    public PriceTable Prices { get; set; } = PriceTable.Embedded;

    public SandboxServerOptions Sandbox { get; set; } = new();

    public StorageOptions Storage { get; } = new();

    /// <summary>What boxes may be let out to, where their manifests ask for it.</summary>
    public EgressOptions Egress { get; set; } = new();

    /// <summary>Runs driven at the same time; the rest wait as ready. Default 2,000.</summary>
    public int MaxConcurrentRuns { get; set; } = 2_000;

    /// <summary>How long a server that was told to stop lets steps finish. Default 30 s.</summary>
    public TimeSpan DrainLimit { get; set; } = TimeSpan.FromSeconds(30);
}

/// <summary>The boxes of this server: their tools, where they are not in their usual places, and how many.</summary>
public sealed class SandboxServerOptions
{
    /// <summary>The <c>runsc</c> program. Default: the tools folder, then the PATH.</summary>
    public string? Runsc { get; set; }

    /// <summary>The static guest agent. Default: beside this program.</summary>
    public string? GuestAgent { get; set; }

    /// <summary>The <c>bwrap</c> program. Default: the tools folder, then the PATH.</summary>
    public string? Bwrap { get; set; }

    /// <summary>Boxes that stand ready of each sort that was asked for lately. Default 2; 0 starts each when it is needed.</summary>
    public int Pool { get; set; } = 2;

    /// <summary>Boxes at the same time; further runs wait in line. Default: as many as the kernel's process numbers allow.</summary>
    public int? MaxBoxes { get; set; }

    /// <summary>Memory of the host that no new box may touch, in bytes. Default: a twentieth, at least 256 MiB.</summary>
    public long? MemoryReserve { get; set; }

    /// <summary>Snapshots that may stand at once. Default 32; 0 allows none.</summary>
    public int MaxSnapshots { get; set; } = 32;

    /// <summary>Disk that live snapshots may take together, in bytes. Default 8 GiB.</summary>
    public long MaxSnapshotBytes { get; set; } = 8L << 30;

    /// <summary>After it a fork is ended. Default 1 day.</summary>
    public TimeSpan ForkLife { get; set; } = TimeSpan.FromDays(1);

    /// <summary>Images that manifests may name, and where each is had from: <c>dir:</c>, <c>tar:</c>, <c>oci:</c>, <c>oci-archive:</c> or <c>docker:</c>.</summary>
    public Dictionary<string, string> Images { get; } = [];

    internal string? Apply(string key, string text)
    {
        switch (key)
        {
            case "runsc":
                return ConfigReader.Path(text, value => Runsc = value);
            case "guest_agent":
                return ConfigReader.Path(text, value => GuestAgent = value);
            case "bwrap":
                return ConfigReader.Path(text, value => Bwrap = value);
            case "pool":
                return ConfigReader.Whole(text, 0, 100, value => Pool = value);
            case "max_boxes":
                return ConfigReader.Whole(text, 1, 100_000, value => MaxBoxes = value);
            case "memory_reserve":
                return Size(text, value => MemoryReserve = value);
            case "max_snapshots":
                return ConfigReader.Whole(text, 0, 1_000, value => MaxSnapshots = value);
            case "max_snapshot_bytes":
                return Size(text, value => MaxSnapshotBytes = value);
            case "fork_life":
                return ConfigReader.Duration(text, TimeSpan.FromDays(30), value => ForkLife = value);
            default:
                return $"unknown key; known are {Keys}";
        }
    }

    private static string? Size(string text, Action<long> use)
    {
        if (!Caisson.Core.Sizes.TryParse(text, out var bytes))
            return $"found '{text}', allowed is a size as 512MiB, 2GiB";
        use(bytes);
        return null;
    }

    internal const string Keys = "sandbox.runsc, .guest_agent, .bwrap, .pool, .max_boxes, .memory_reserve, .max_snapshots, .max_snapshot_bytes, .fork_life, .images.NAME";
}
