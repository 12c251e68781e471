namespace Caisson.Sandboxes.Reaping;

/// <summary>Loop devices and the files behind them, as the kernel lists them.</summary>
internal static class LoopDevices
{
    public static IReadOnlyList<(string Device, string File)> Below(string directory)
    {
        var found = new List<(string, string)>();
        if (!Directory.Exists("/sys/block"))
            return found;
        foreach (var entry in Directory.EnumerateFileSystemEntries("/sys/block", "loop*"))
        {
            try
            {
                // The kernel adds a mark to the name of a file that was deleted; the beginning stays.
                var file = File.ReadAllText($"{entry}/loop/backing_file").TrimEnd('\n');
                if (file.StartsWith(directory + "/", StringComparison.Ordinal))
                    found.Add(("/dev/" + Path.GetFileName(entry), file));
            }
            catch (IOException)
            {
                // Not in use, or just released.
            }
        }

        return found;
    }
}
