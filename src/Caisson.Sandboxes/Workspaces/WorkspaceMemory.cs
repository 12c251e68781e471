using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>
/// What a workspace's last save or restore saw: the files that need no second reading while their inode, size and both
/// times stay, and the blobs that are stored.
/// </summary>
internal sealed class WorkspaceMemory
{
    /// <summary>The file system's clock ticks in milliseconds: a file that changed this shortly before the look may change again in the same tick.</summary>
    private static readonly TimeSpan Doubt = TimeSpan.FromMilliseconds(40);

    /// <summary>By inode.</summary>
    public Dictionary<ulong, KnownFile> Files { get; } = [];

    /// <summary>Addresses.</summary>
    public HashSet<string> Blobs { get; } = [];

    /// <summary>Whether a file that was looked at then would show a later change.</summary>
    public static bool IsCertain(in Statx stat, DateTimeOffset look) =>
        Math.Max(stat.Changed, stat.Modified) < (look - Doubt - DateTimeOffset.UnixEpoch).Ticks * 100;
}

internal sealed record KnownFile(ulong Size, long Modified, long Changed, TreeContent Content, byte[] Data)
{
    public bool Fits(in Statx stat) => Size == stat.Size && Modified == stat.Modified && Changed == stat.Changed;
}
