using System.Text;
using Caisson.Contracts;
using Caisson.Sandboxes.Native;
using Microsoft.Win32.SafeHandles;

namespace Caisson.Sandboxes.Images;

/// <summary>
/// A folder that an image is unpacked into. A path is followed one name at a time from here, never over a link and never
/// upwards, so that an archive cannot reach anything else, whatever names and links it brings and in whatever order.
/// </summary>
internal sealed class ImageFolder(SafeFileHandle folder) : IDisposable
{
    private const int MaxDepth = 64;

    public static ImageFolder Open(string path) => new(Libc.Open(Libc.CurrentDirectory, Encoding.UTF8.GetBytes(path), Libc.ReadOnly | Libc.Directory | Libc.NoFollow));

    /// <summary>The folder, made with those above it where it is not there.</summary>
    public SafeFileHandle MakeFolder(string path) => Walk(Names(path));

    public void MakeFile(string path, uint mode, Stream content)
    {
        var names = Names(path);
        using var parent = Walk(names[..^1]);
        Remove(parent, names[^1]);
        using var file = Libc.Open(Libc.Number(parent), names[^1], Libc.WriteOnly | Libc.Create | Libc.Exclusive | Libc.NoFollow, 0x180);
        using (var stream = new FileStream(new SafeFileHandle(file.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 1 << 16))
            content.CopyTo(stream);
        Libc.ChangeMode(file, mode);
    }

    public void MakeLink(string path, string target)
    {
        var names = Names(path);
        using var parent = Walk(names[..^1]);
        Remove(parent, names[^1]);
        Libc.Link(Encoding.UTF8.GetBytes(target), parent, names[^1]);
    }

    /// <summary>What an archive calls a hard link, as a copy: nothing writes here afterwards.</summary>
    public void CopyFile(string path, string from, uint mode)
    {
        var names = Names(from);
        using var parent = Walk(names[..^1]);
        using var source = Libc.Open(Libc.Number(parent), names[^1], Libc.ReadOnly | Libc.NoFollow | Libc.NonBlocking);
        if (Libc.Stat(source).Kind != Statx.RegularFile)
            throw Bad(path, "is a hard link to something that is no file");
        using var stream = new FileStream(new SafeFileHandle(source.DangerousGetHandle(), ownsHandle: false), FileAccess.Read, 1 << 16);
        MakeFile(path, mode, stream);
    }

    public void Dispose() => folder.Dispose();

    internal static CaissonException Bad(string path, string what) => new(ErrorCodes.ConfigInvalid, $"the image's entry '{path}' {what}");

    private SafeFileHandle Walk(IReadOnlyList<byte[]> names)
    {
        var current = Libc.Open(Libc.Number(folder), "."u8, Libc.ReadOnly | Libc.Directory);
        foreach (var name in names)
        {
            var above = current;
            try
            {
                if (Libc.Stat(above, name) is not { } stat)
                {
                    Libc.MakeDirectory(above, name);
                    using var made = Libc.OpenFolder(above, name);
                    Libc.ChangeMode(made, 0x1ed);
                }
                else if (stat.Kind != Statx.Folder)
                {
                    throw Bad(Encoding.UTF8.GetString(name), "is a link or a file where a folder is needed");
                }

                current = Libc.OpenFolder(above, name);
            }
            finally
            {
                above.Dispose();
            }
        }

        return current;
    }

    private static void Remove(SafeFileHandle parent, byte[] name)
    {
        if (Libc.Stat(parent, name) is { } stat)
            Libc.Unlink(parent, name, stat.Kind == Statx.Folder);
    }

    /// <summary>Leading slashes and single dots mean nothing in an archive; what leads upwards is refused.</summary>
    private static List<byte[]> Names(string path)
    {
        var parts = path.Split('/').Where(p => p.Length > 0 && p != ".").ToList();
        if (parts.Count == 0 || parts.Contains("..") || parts.Count > MaxDepth || path.Contains('\0', StringComparison.Ordinal))
            throw Bad(path, "has a path that leads nowhere or out of the image");
        return [.. parts.Select(Encoding.UTF8.GetBytes)];
    }
}
