using System.Globalization;
using Caisson.Core;

namespace Caisson.Server.Diagnosis;

/// <summary>How fast and how full the disk of the data directory is.</summary>
internal static class DiskProbe
{
    private const int Syncs = 50;
    private const long LeastFree = 2L << 30;
    private const double LeastFreeShare = 0.05;
    private static readonly TimeSpan SlowSync = TimeSpan.FromMilliseconds(20);

    internal static Finding Sync(string folder, TimeProvider clock, IIdSource ids)
    {
        var file = Path.Combine(folder, $".caisson-doctor-{ids.NextRandom():N}");
        try
        {
            var times = new TimeSpan[Syncs];
            using (var handle = File.OpenHandle(file, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.DeleteOnClose))
            {
                var page = new byte[4096];
                for (var i = 0; i < Syncs; i++)
                {
                    var began = clock.GetTimestamp();
                    RandomAccess.Write(handle, page, (long)i * page.Length);
                    RandomAccess.FlushToDisk(handle);
                    times[i] = clock.GetElapsedTime(began);
                }
            }

            Array.Sort(times);
            var (median, worst) = (times[Syncs / 2], times[^1]);
            var text = string.Create(CultureInfo.InvariantCulture, $"median {median.TotalMilliseconds:0.00} ms, worst {worst.TotalMilliseconds:0.0} ms of {Syncs} appends in {folder}");
            return median > SlowSync
                ? Finding.Warn("disk sync", text, "put the data directory on a faster disk: every step waits for a sync")
                : Finding.Ok("disk sync", text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Finding.Fail("disk sync", $"{folder}: {e.Message}", "choose a data directory that the server may write, with --data or data.directory");
        }
    }

    internal static Finding Free(string folder)
    {
        var drive = new DriveInfo(folder);
        var share = drive.TotalSize == 0 ? 1 : drive.AvailableFreeSpace / (double)drive.TotalSize;
        var text = string.Create(CultureInfo.InvariantCulture, $"{drive.AvailableFreeSpace / (double)(1L << 30):0.0} GiB free ({share:0 %})");
        return drive.AvailableFreeSpace < LeastFree || share < LeastFreeShare
            ? Finding.Fail("disk space", text, "free some: below 2 GiB or 5 % the server takes no work")
            : Finding.Ok("disk space", text);
    }

    /// <summary>Whether a server holds its lock on this file.</summary>
    internal static bool IsHeld(string lockFile)
    {
        if (!File.Exists(lockFile))
            return false;
        try
        {
            using var probe = new FileStream(lockFile, FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
