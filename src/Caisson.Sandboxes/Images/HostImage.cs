using System.Security.Cryptography;
using Caisson.Contracts;

namespace Caisson.Sandboxes.Images;

/// <summary>
/// The root tree that every box reads: the host's /usr (bound by each launcher in a mount namespace of its own), links
/// into it, and an /etc made here. Nothing of the host's /home, /root, /var, and of /etc only what programs need and
/// nothing secret.
/// </summary>
internal static class HostImage
{
    private const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private static readonly string[] Folders = ["usr", "var", "root", "home", "etc/ssl"];

    private static readonly string[] Copied =
    [
        "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "alternatives", "os-release",
        "debian_version", "services", "protocols", "mime.types", "shells", "inputrc", "terminfo", "fonts", "magic", "java-17-openjdk", "python3",
    ];

    private static readonly (string Name, string Text)[] Written =
    [
        ("passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\ncaisson:x:10000:10000::/:/usr/sbin/nologin\nagent:x:10001:10001:agent:/workspace:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"),
        ("group", "root:x:0:\ncaisson:x:10000:\nagent:x:10001:\nnogroup:x:65534:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        ("hostname", "box\n"),
        ("resolv.conf", "# A box has no name server.\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ];

    /// <summary>Builds the tree anew: what another version left must not stay. No box of this server may live.</summary>
    /// <returns>The image; its digest is that of the host's package list.</returns>
    public static BoxImage Build(string root, string guest)
    {
        if (Directory.Exists(root))
            Directory.Delete(root, recursive: true);
        foreach (var directory in Folders)
            Directory.CreateDirectory(Path.Combine(root, directory));
        foreach (var name in new[] { "bin", "sbin", "lib", "lib32", "lib64", "libx32" })
        {
            var host = new DirectoryInfo("/" + name);
            if (host.LinkTarget is { } target)
                File.CreateSymbolicLink(Path.Combine(root, name), target);
            else if (host.Exists)
                throw new CaissonException(ErrorCodes.SandboxStartFailed, $"/{name} of this host is not a link into /usr; boxes need a host with merged /usr");
        }

        File.CreateSymbolicLink(Path.Combine(root, "var/tmp"), "../tmp");
        foreach (var name in Copied)
            Copy("/etc/" + name, Path.Combine(root, "etc", name));
        foreach (var (name, text) in Written)
            File.WriteAllText(Path.Combine(root, "etc", name), text);
        using (var folder = ImageFolder.Open(root))
            BoxImage.Finish(folder, guest);
        return new BoxImage(root, Digest(), Path.Combine(root, "usr"));
    }

    private static string Digest()
    {
        const string Packages = "/var/lib/dpkg/status";
        var list = File.Exists(Packages) ? File.ReadAllBytes(Packages) : File.ReadAllBytes("/etc/os-release");
        return Convert.ToHexStringLower(SHA256.HashData(list));
    }

    private static void Copy(string from, string to)
    {
        var file = new FileInfo(from);
        if (file.LinkTarget is { } target)
        {
            File.CreateSymbolicLink(to, target);
        }
        else if (file.Exists)
        {
            // Only what everybody may read: no key that some package keeps there comes along.
            if ((file.UnixFileMode & UnixFileMode.OtherRead) == 0)
                return;
            File.Copy(from, to);
            File.SetUnixFileMode(to, Readable);
        }
        else if (Directory.Exists(from))
        {
            Directory.CreateDirectory(to);
            foreach (var entry in new DirectoryInfo(from).EnumerateFileSystemInfos())
                Copy(entry.FullName, Path.Combine(to, entry.Name));
        }
    }
}
