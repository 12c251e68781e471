using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Sandboxes.Cgroups;
using Caisson.Sandboxes.Boxes;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Reaping;

/// <summary>
/// Finds and removes what dead servers left under our prefix.
/// <para>
/// Boxes normally die with their server (guest/launch.c). This is for the rest: a frozen box whose launcher was killed
/// too, a folder and a cgroup that nobody was left to remove. runsc's own list is not asked: it was seen empty while
/// boxes ran. What counts is what the kernel shows: cgroups, /proc, mounts, loop devices, and our folders.
/// </para>
/// <para>
/// Invariant: a box of this process is in <paramref name="isLive"/> before anything of it exists, and leaves it after
/// everything is gone; a box of another living process is known by its intent. Neither is residue.
/// </para>
/// </summary>
internal sealed class Reaper(CgroupLayout layout, string boxes, string kind, TimeProvider time, Func<string, bool> isLive)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);

    /// <summary>The kind that takes what has no readable intent, so that exactly one does.</summary>
    private const string Unclaimed = "gvisor";

    public IReadOnlyList<SandboxResidue> List()
    {
        var residue = new List<SandboxResidue>();
        var spared = new Dictionary<string, bool>();
        var runs = new Dictionary<string, RunId?>();

        foreach (var (pid, command) in HostProcesses.OfBoxes(boxes + "/"))
            if (BoxIn(command) is { } box && IsResidue(box))
                residue.Add(new SandboxResidue("process", $"{pid} {HostProcesses.StartTime(pid)} {box}") { Run = runs[box] });
        foreach (var directory in layout.Parents.Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories))
            if (IsResidue(Path.GetFileName(directory)))
                residue.Add(new SandboxResidue("cgroup", directory) { Run = runs[Path.GetFileName(directory)] });
        foreach (var mount in Mounts())
            if (BoxIn(mount) is { } box && IsResidue(box))
                residue.Add(new SandboxResidue("mount", mount) { Run = runs[box] });
        foreach (var (device, file) in LoopDevices.Below(boxes))
            if (BoxIn(file) is { } box && IsResidue(box))
                residue.Add(new SandboxResidue("loop", $"{device} {file}") { Run = runs[box] });
        if (Directory.Exists(boxes))
            foreach (var directory in Directory.EnumerateDirectories(boxes))
                if (IsResidue(Path.GetFileName(directory)))
                    residue.Add(new SandboxResidue("directory", directory) { Run = runs[Path.GetFileName(directory)] });
        return residue;

        bool IsResidue(string box)
        {
            if (!spared.TryGetValue(box, out var spare))
            {
                var intent = BoxIntent.TryRead(new BoxFolder(boxes, box).Intent);
                spared[box] = spare = isLive(box) || intent is { IsOthers: true } || (intent?.Kind ?? Unclaimed) != kind;
                runs[box] = RunId.TryParse(intent?.Run ?? "", out var run) ? run : null;
            }

            return !spare;
        }
    }

    /// <summary>Answers what of it is still there after all was tried.</summary>
    public async Task<IReadOnlyList<SandboxResidue>> ReapAsync(IReadOnlyList<SandboxResidue> residue)
    {
        // 1. Processes, by number and start time: the number may belong to somebody else by now.
        foreach (var item in residue.Where(r => r.Kind == "process"))
        {
            var parts = item.Name.Split(' ');
            var pid = int.Parse(parts[0], CultureInfo.InvariantCulture);
            if (HostProcesses.StartTime(pid)?.ToString(CultureInfo.InvariantCulture) == parts[1])
                Libc.Kill(pid);
        }

        // 2. Cgroups: kills what is in them, thawed, and removes them.
        var ids = residue.Select(r => r.Kind == "cgroup" ? Path.GetFileName(r.Name) : BoxIn(r.Name)).OfType<string>().Distinct().ToList();
        await Task.WhenAll(ids.Select(id => new BoxCgroup(layout, id, time).RemoveAsync(Limit)));

        // 3. Mounts in the host's own namespace. The boxes' mounts went with their processes.
        foreach (var item in residue.Where(r => r.Kind == "mount"))
            Libc.Unmount(item.Name);

        // 4. Folders, which wait for the loop devices to let go.
        foreach (var id in ids)
            await new BoxFolder(boxes, id).RemoveAsync(Limit, time);

        // Whose it was is known before its folder goes, and stands in the folder.
        var asked = residue.ToDictionary(r => (r.Kind, r.Name));
        return [.. List().Select(r => asked.GetValueOrDefault((r.Kind, r.Name))).OfType<SandboxResidue>()];
    }

    /// <summary>The id of the box whose folder the text names.</summary>
    private string? BoxIn(string text)
    {
        var at = text.IndexOf(boxes + "/", StringComparison.Ordinal);
        if (at < 0)
            return null;
        var id = text[(at + boxes.Length + 1)..];
        var end = id.AsSpan().IndexOfAny('/', ' ');
        return end < 0 ? id : id[..end];
    }

    private IEnumerable<string> Mounts() =>
        File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')[4]).Where(m => m.StartsWith(boxes + "/", StringComparison.Ordinal));
}
