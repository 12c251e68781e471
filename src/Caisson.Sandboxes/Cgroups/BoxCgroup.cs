using Caisson.Contracts;
using Caisson.Sandboxes.Native;

namespace Caisson.Sandboxes.Cgroups;

/// <summary>
/// The cgroup of one box: limits, freezer, counters, and the list of its processes, which is the only complete one
/// (processes change their parents and names, but do not leave their cgroup).
/// </summary>
internal sealed class BoxCgroup(CgroupLayout layout, string box, TimeProvider time)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan FreezeLimit = TimeSpan.FromSeconds(5);

    public IReadOnlyList<string> Directories { get; } = layout.Directories(box);

    public IEnumerable<string> ProcsFiles => Directories.Select(d => $"{d}/cgroup.procs");

    public (string File, string Freeze, string Thaw) Freezer { get; } = layout.Freezer(box);

    public void Create(BoxLimits limits)
    {
        foreach (var parent in layout.Parents)
            Directory.CreateDirectory(parent);
        foreach (var write in layout.ParentWrites)
            Write(write);
        foreach (var directory in Directories)
            Directory.CreateDirectory(directory);
        Limit(limits);
    }

    /// <summary>Of a cgroup that has limits already, in the order in which the kernel takes raised and lowered ones.</summary>
    public void Limit(BoxLimits limits)
    {
        foreach (var write in layout.Limits(box, limits))
            Write(write);
    }

    /// <summary>
    /// What its processes have read and written. From the processes and not from a controller of the cgroup: that one
    /// counts block devices only, and is absent on many hosts. A process that ends takes its share with it, so the sum
    /// may fall; that is a change as well, but no sign of life.
    /// </summary>
    public long IoBytes() => Processes().Sum(pid => CgroupLayout.ProcessIo(TryRead($"/proc/{pid}/io")));

    /// <summary>What the box's own kernel has used; nothing where it has none.</summary>
    /// <param name="kernel">What its command line begins with.</param>
    public TimeSpan KernelCpu(string? kernel) => kernel is null ? TimeSpan.Zero : Processes()
        .Where(pid => TryRead($"/proc/{pid}/cmdline")?.StartsWith(kernel, StringComparison.Ordinal) == true)
        .Aggregate(TimeSpan.Zero, (sum, pid) => sum + CgroupLayout.ProcessCpu(TryRead($"/proc/{pid}/stat")));

    public CgroupCounters Counters() => layout.Counters(box, TryRead);

    public async Task FreezeAsync(CancellationToken cancellationToken)
    {
        var (file, isFrozen) = layout.FreezerState(box);
        var start = time.GetTimestamp();
        while (true)
        {
            // Again in each round: version 1 may stay half-way until it is told once more.
            Put(Freezer.File, Freezer.Freeze);
            if (isFrozen(TryRead(file) ?? ""))
                return;
            if (time.GetElapsedTime(start) > FreezeLimit)
                throw new CaissonException(ErrorCodes.SandboxLost, $"box {box} does not freeze within {FreezeLimit}");
            await Task.Delay(Poll, time, cancellationToken);
        }
    }

    public void Thaw() => Put(Freezer.File, Freezer.Thaw);

    public IReadOnlySet<int> Processes()
    {
        var pids = new HashSet<int>();
        foreach (var file in ProcsFiles)
            foreach (var line in (TryRead(file) ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries))
                pids.Add(int.Parse(line, System.Globalization.CultureInfo.InvariantCulture));
        return pids;
    }

    /// <summary>Kills what is in it, thawed so that it can die, and removes it. Answers what would not go in time.</summary>
    public async Task<IReadOnlyList<string>> RemoveAsync(TimeSpan limit)
    {
        var start = time.GetTimestamp();
        while (true)
        {
            var pids = Processes();
            foreach (var pid in pids)
                Libc.Kill(pid);
            if (pids.Count > 0 && File.Exists(Freezer.File))
                TryThaw();
            if (pids.Count == 0 && RemoveAll())
                return [];
            if (time.GetElapsedTime(start) > limit)
                return [.. Directories.Where(Directory.Exists)];
            await Task.Delay(Poll, time);
        }
    }

    // Each of them is tried, also after one that stays.
    private bool RemoveAll() => !Directories.Select(TryRemove).ToList().Contains(false);

    private void TryThaw()
    {
        try
        {
            Thaw();
        }
        catch (IOException)
        {
            // It was removed meanwhile; the loop around looks again.
        }
    }

    /// <summary>Answers whether the folder is gone; one with processes or folders in it stays.</summary>
    public static bool TryRemove(string directory)
    {
        try
        {
            Directory.Delete(directory);
            return true;
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void Write(CgroupWrite write)
    {
        try
        {
            Put(write.File, write.Value);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!write.Optional)
                throw new CaissonException(ErrorCodes.SandboxStartFailed, $"cannot write {write.Value} to {write.File}: {e.Message}", inner: e);
        }
    }

    // One write(2) into a file that exists: a control file is neither truncated nor created.
    private static void Put(string file, string value)
    {
        using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.Write(handle, System.Text.Encoding.ASCII.GetBytes(value), 0);
    }

    private static string? TryRead(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
