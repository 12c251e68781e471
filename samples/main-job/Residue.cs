namespace MainJob;

/// <summary>What of any box is left on this host: processes, mounts, cgroups and folders that carry the data directory's boxes.</summary>
internal static class Residue
{
    internal static List<string> Find(string data)
    {
        var found = new List<string>();
        foreach (var line in File.ReadLines("/proc/self/mounts").Where(l => l.Contains(data, StringComparison.Ordinal)))
            found.Add("mount " + line.Split(' ')[1]);
        foreach (var folder in Directory.EnumerateDirectories("/proc"))
        {
            try
            {
                if (int.TryParse(Path.GetFileName(folder), out _) && File.ReadAllText(Path.Combine(folder, "cmdline")).Contains(data, StringComparison.Ordinal))
                    found.Add("process " + Path.GetFileName(folder));
            }
            catch (IOException)
            {
                // It ended while we looked.
            }
        }

        foreach (var loop in Directory.Exists("/sys/block") ? Directory.EnumerateDirectories("/sys/block", "loop*") : [])
        {
            var backing = Path.Combine(loop, "loop", "backing_file");
            if (File.Exists(backing) && File.ReadAllText(backing).Contains(data, StringComparison.Ordinal))
                found.Add("loop device " + Path.GetFileName(loop));
        }

        var boxes = Path.Combine(data, "sandboxes");
        if (Directory.Exists(boxes))
            found.AddRange(Directory.EnumerateDirectories(boxes).Select(d => "folder " + d));
        return found;
    }
}
