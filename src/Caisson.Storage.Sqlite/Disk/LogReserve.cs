namespace Caisson.Storage.Sqlite.Disk;

/// <summary>
/// Makes the file of the write-ahead log longer before it is needed. What stands behind the log's last frame is nothing
/// to SQLite, and a sync that need not record a new length is twice as fast. The zeros are really written: blocks that
/// are only reserved would have to be recorded as well when they are first used.
/// </summary>
internal static class LogReserve
{
    private const long FreeAtLeast = 1L << 30;

    private static readonly byte[] s_zeros = new byte[1 << 20];

    /// <param name="between">Runs its argument while nobody writes to the log.</param>
    internal static void Grow(string log, long bytes, Func<Func<bool>, bool> between)
    {
        if (new FileInfo(log) is not { Exists: true } file || file.Length >= bytes)
            return;
        try
        {
            if (new DriveInfo(log).AvailableFreeSpace < FreeAtLeast)
                return;
            using var handle = File.OpenHandle(log, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
            while (between(() => Append(handle, bytes)))
                RandomAccess.FlushToDisk(handle);
        }
        catch (IOException)
        {
            // Only speed was to be had: a disk that is full or ill shows at the next write that counts.
        }
    }

    private static bool Append(Microsoft.Win32.SafeHandles.SafeFileHandle handle, long bytes)
    {
        var length = RandomAccess.GetLength(handle);
        if (length >= bytes)
            return false;
        RandomAccess.Write(handle, s_zeros.AsSpan(0, (int)Math.Min(s_zeros.Length, bytes - length)), length);
        return true;
    }
}
