using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Images;

/// <summary>What a box sees as its root, read-only.</summary>
/// <param name="HostPrograms">The folder that the launcher binds the host's /usr to; <c>null</c> for an image with programs of its own.</param>
internal sealed record BoxImage(string Root, string Digest, string? HostPrograms)
{
    /// <summary>The guest agent, which boxes run from here.</summary>
    public const string GuestInside = "/.caisson/guest";

    /// <summary>Where a box finds the files that are for everybody in it.</summary>
    public const string FilesInside = "/run/box";

    private static readonly string[] MountPoints = ["proc", "dev", "sys", "tmp", "workspace", "run/caisson", "run/box", ".caisson"];

    /// <summary>Adds what every box needs in its root: where things are mounted, and the guest agent.</summary>
    public static void Finish(ImageFolder root, string guest)
    {
        foreach (var point in MountPoints)
            root.MakeFolder(point).Dispose();
        using var program = File.OpenRead(guest);
        root.MakeFile(GuestInside, 0x1ed, program);
    }
}
