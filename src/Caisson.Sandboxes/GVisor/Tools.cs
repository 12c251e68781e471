using System.Globalization;
using System.Text.RegularExpressions;

namespace Caisson.Sandboxes.GVisor;

/// <summary>
/// The outside programs of this provider. What is installed is asked and not assumed: runsc's flags differ by version.
/// </summary>
internal sealed partial record Tools(string Runsc, string Guest, string MakeFileSystem, string Version, bool HasSystrap, IReadOnlySet<string> Flags)
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(10);

    /// <summary>The first dated release with systrap as a platform.</summary>
    private const int SystrapSince = 20230501;

    /// <summary>Answers what is missing, in words, where the tools are not there.</summary>
    public static async Task<(Tools? Tools, string? Missing)> FindAsync(SandboxOptions options, TimeProvider time, CancellationToken cancellationToken)
    {
        if (Find(options.RunscPath, "runsc") is not { } runsc)
            return (null, options.RunscPath is { } named ? $"{named}, named as sandbox.runsc, is not there" : "runsc is not installed");
        if (Find(options.GuestPath, "caisson-guest") is not { } guest)
            return (null, options.GuestPath is { } named ? $"{named}, named as sandbox.guest_agent, is not there" : "the guest agent is not built");
        if (Find(null, "mkfs.ext4") is not { } mkfs)
            return (null, "mkfs.ext4 (package e2fsprogs) is not installed");
        var version = await OutsideProgram.RunAsync(runsc, ["--version"], ProbeLimit, time, cancellationToken);
        var flags = await OutsideProgram.RunAsync(runsc, ["flags"], ProbeLimit, time, cancellationToken);
        if (version.ExitCode != 0)
            return (null, $"{runsc} does not run: {version.Output.Trim().Split('\n')[0]}");
        var names = FlagLine().Matches(flags.Output).Select(m => m.Groups[1].Value).ToHashSet(StringComparer.Ordinal);
        var date = Date().Match(version.Output);
        var systrap = !date.Success || int.Parse(date.Value, CultureInfo.InvariantCulture) >= SystrapSince;
        return (new Tools(runsc, guest, mkfs, version.Output.Split('\n')[0].Trim(), systrap, names), null);
    }

    /// <summary>The command line that starts a box and then ends; see guest/launch.c.</summary>
    public IReadOnlyList<string> RunCommand(string state, string bundle, string id, bool directFiles)
    {
        var command = new List<string> { Runsc, $"--root={state}" };
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
        command.AddRange(["run", "--detach", $"--bundle={bundle}", id]);
        return command;

        void Add(string flag, string value)
        {
            if (Flags.Contains(flag))
                command.Add($"--{flag}={value}");
        }
    }

    private static string? Find(string? configured, string name)
    {
        if (configured is not null)
            return File.Exists(configured) ? configured : null;
        var path = Environment.GetEnvironmentVariable("PATH") ?? "";
        return path.Split(':', StringSplitOptions.RemoveEmptyEntries).Prepend(SandboxOptions.ToolsDirectory).Append("/usr/sbin").Append("/sbin")
            .Select(d => Path.Combine(d, name)).FirstOrDefault(File.Exists);
    }

    [GeneratedRegex(@"^\s+-([A-Za-z0-9_-]+)", RegexOptions.Multiline)]
    private static partial Regex FlagLine();

    [GeneratedRegex(@"\d{8}")]
    private static partial Regex Date();
}
