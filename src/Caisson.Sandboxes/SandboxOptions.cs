using System.Security.Cryptography;
using System.Text;

namespace Caisson.Sandboxes;

/// <summary>Where boxes live on this host and with which programs they are made.</summary>
public sealed class SandboxOptions
{
    /// <summary>The folder that <c>make setup</c> puts runsc and the guest agent into.</summary>
    public const string ToolsDirectory = "/usr/local/lib/caisson/tools";

    /// <summary>Folder of box folders and of the root tree that boxes share; on a local file system. Required.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>gVisor's runsc. Default: the one in <see cref="ToolsDirectory"/>, else the first on PATH.</summary>
    public string? RunscPath { get; init; }

    /// <summary>bubblewrap's bwrap. Default: the first in <see cref="ToolsDirectory"/> or on PATH.</summary>
    public string? BwrapPath { get; init; }

    /// <summary>The static guest agent, which is the launcher too. Default: the one in <see cref="ToolsDirectory"/>, else the first on PATH.</summary>
    public string? GuestPath { get; init; }

    /// <summary>Folder of the kernel and modules of virtual machines. Default: <c>microvm</c> in <see cref="ToolsDirectory"/>.</summary>
    public string? MachineDirectory { get; init; }

    /// <summary>
    /// Name of the cgroup above all boxes of this server. Default: <c>caisson-</c> and a hash of
    /// <see cref="StateDirectory"/>, so that two servers on one machine do not reap each other's boxes.
    /// </summary>
    public string? Prefix { get; init; }

    /// <summary>Time for a box to answer after its start; a longer one is killed. Default 20 s.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Lets gVisor's kernel open workspace files itself instead of asking a second process. Small file calls take a half
    /// to a third of the time, but that kernel then runs as root of the host behind its filter, not as nobody. Default false.
    /// </summary>
    public bool DirectFiles { get; init; }

    /// <summary>Boxes that stand ready, started and frozen, of each sort that was asked for lately. Default 0: none; each takes some 16 MiB.</summary>
    public int Pool { get; init; }

    /// <summary>Boxes at the same time, those that stand ready included; further ones wait. Default: as many as the kernel's process numbers allow.</summary>
    public int? MaxBoxes { get; init; }

    /// <summary>Free memory of the host that no new box may touch, in bytes. Default: a twentieth, at least 256 MiB.</summary>
    public long? MemoryReserve { get; init; }

    /// <summary>After it a fork is ended, whatever it does: nobody owns it. Default 1 day.</summary>
    public TimeSpan ForkLife { get; init; } = TimeSpan.FromDays(1);

    /// <summary>What a manifest may name as its image, beside <c>host</c>: <c>dir:FOLDER</c>, <c>tar:FILE</c>, <c>oci:FOLDER:TAG</c>, <c>oci-archive:FILE</c>, <c>docker-archive:FILE</c> or <c>docker://NAME</c>. A registry without TLS is asked on loopback only.</summary>
    public IReadOnlyDictionary<string, string> Images { get; init; } = new Dictionary<string, string>();

    internal string EffectivePrefix =>
        Prefix ?? "caisson-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Path.GetFullPath(StateDirectory))))[..10];
}
