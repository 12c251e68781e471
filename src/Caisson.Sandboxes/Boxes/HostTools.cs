namespace Caisson.Sandboxes.Boxes;

/// <summary>The outside programs that boxes of every kind need.</summary>
internal sealed record HostTools(string Guest, string MakeFileSystem)
{
    /// <summary>Answers what is missing, in words, where they are not there.</summary>
    public static (HostTools? Tools, string? Missing) Find(SandboxOptions options)
    {
        if (Find(options.GuestPath, "caisson-guest") is not { } guest)
            return (null, options.GuestPath is { } named ? $"{named}, named as sandbox.guest_agent, is not there" : "the guest agent is not built");
        return Find(null, "mkfs.ext4") is { } mkfs ? (new HostTools(guest, mkfs), null) : (null, "mkfs.ext4 (package e2fsprogs) is not installed");
    }

    /// <summary>As configured, else in the tools folder, else on the PATH and where the system's own programs are.</summary>
    public static string? Find(string? configured, string name)
    {
        if (configured is not null)
            return File.Exists(configured) ? configured : null;
        var path = Environment.GetEnvironmentVariable("PATH") ?? "";
        return path.Split(':', StringSplitOptions.RemoveEmptyEntries).Prepend(SandboxOptions.ToolsDirectory).Append("/usr/sbin").Append("/sbin")
            .Select(d => Path.Combine(d, name)).FirstOrDefault(File.Exists);
    }
}
