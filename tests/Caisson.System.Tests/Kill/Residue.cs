using System.Security.Cryptography;
using System.Text;

namespace Caisson.System.Tests.Kill;

/// <summary>What boxes leave behind on a host when somebody forgot them.</summary>
internal static class Residue
{
    internal static Of At(string data) => new(data);

    internal sealed class Of(string data)
    {
        private readonly string _boxes = Path.Combine(data, "boxes");

        internal List<string> Find()
        {
            var found = new List<string>();
            found.AddRange(File.ReadLines("/proc/self/mounts").Where(l => l.Contains(data, StringComparison.Ordinal)).Select(l => "mount " + l.Split(' ')[1]));
            found.AddRange(File.ReadLines("/proc/net/unix").Where(l => l.Contains(data, StringComparison.Ordinal)).Select(l => "socket " + l.Split(' ')[^1]));
            foreach (var process in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
            {
                if (Read(Path.Combine(process, "cmdline")).Contains(data, StringComparison.Ordinal))
                    found.Add("process " + Path.GetFileName(process));
            }

            foreach (var loop in Directory.EnumerateDirectories("/sys/block", "loop*"))
            {
                if (Read(Path.Combine(loop, "loop", "backing_file")).Contains(data, StringComparison.Ordinal))
                    found.Add("loop device " + Path.GetFileName(loop));
            }

            var folders = Path.Combine(_boxes, "boxes");
            if (Directory.Exists(folders))
                found.AddRange(Directory.EnumerateDirectories(folders).Select(d => "folder " + d));

            // The cgroup above a server's boxes bears a hash of their folder.
            var prefix = "caisson-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_boxes)))[..10];
            foreach (var hierarchy in Directory.EnumerateDirectories("/sys/fs/cgroup").Append("/sys/fs/cgroup"))
            {
                if (Directory.Exists(Path.Combine(hierarchy, prefix)))
                    found.Add("cgroup " + Path.Combine(hierarchy, prefix));
            }

            return found;
        }

        private static string Read(string path)
        {
            try
            {
                return File.ReadAllText(path);
            }
            catch (IOException)
            {
                // It ended while we looked, or is not in use.
                return "";
            }
        }
    }
}
