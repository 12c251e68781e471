using System.Globalization;
using System.Text.RegularExpressions;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.GVisor;

/// <summary>
/// An installed runsc. It is asked and not assumed what it can: its flags differ by version.
/// </summary>
internal sealed partial record Runsc(string Path, string Version, bool HasSystrap, IReadOnlySet<string> Flags)
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(10);

    /// <summary>The first dated release with systrap as a platform.</summary>
    private const int SystrapSince = 20230501;

    /// <summary>Answers what is missing, in words, where it is not there.</summary>
    public static async Task<(Runsc? Runsc, string? Missing)> FindAsync(SandboxOptions options, TimeProvider time, CancellationToken cancellationToken)
    {
        if (HostTools.Find(options.RunscPath, "runsc") is not { } runsc)
            return (null, options.RunscPath is { } named ? $"{named}, named as sandbox.runsc, is not there" : "runsc is not installed");
        var version = await OutsideProgram.RunAsync(runsc, ["--version"], ProbeLimit, time, cancellationToken);
        var flags = await OutsideProgram.RunAsync(runsc, ["flags"], ProbeLimit, time, cancellationToken);
        if (version.ExitCode != 0)
            return (null, $"{runsc} does not run: {version.Output.Trim().Split('\n')[0]}");
        var names = FlagLine().Matches(flags.Output).Select(m => m.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var date = Date().Match(version.Output);
        var systrap = !date.Success || int.Parse(date.Value, CultureInfo.InvariantCulture) >= SystrapSince;
        return (new Runsc(runsc, version.Output.Split('\n')[0].Trim(), systrap, names), null);
    }

    /// <summary>The command line that starts a box and then ends; see guest/launch.c.</summary>
    /// <param name="checkpoint">The folder of a checkpoint to start from.</param>
    public IReadOnlyList<string> RunCommand(string state, string bundle, string id, bool directFiles, string? checkpoint = null)
    {
        var command = new List<string> { Path, $"--root={state}" };
        Add("ignore-cgroups", "true"); // The launcher has put it into ours.
        Add("network", "none");
        Add("platform", HasSystrap ? "systrap" : "ptrace");
        Add("directfs", directFiles ? "true" : "false");
        // Writes go to the host at once and are seen there when the box is frozen; what the host writes is seen inside.
        Add("file-access-mounts", "shared");
        Add("overlay2", "none");
        if (Flags.Contains("host-uds"))
            Add("host-uds", "open");
        else
            Add("fsgofer-host-uds", "true");
        command.AddRange(checkpoint is null ? ["run", "--detach", $"--bundle={bundle}", id] : ["restore", "--detach", $"--bundle={bundle}", $"--image-path={checkpoint}", id]);
        return command;

        void Add(string flag, string value)
        {
            if (Flags.Contains(flag))
                command.Add($"--{flag}={value}");
        }
    }

    [GeneratedRegex(@"^\s+-([A-Za-z0-9_-]+)", RegexOptions.Multiline)]
    private static partial Regex FlagLine();

    [GeneratedRegex(@"\d{8}")]
    private static partial Regex Date();
}
