namespace Caisson.Sandboxes.Boxes;

/// <summary>Copies of a workspace's disk: holes stay holes, and where the file system can, nothing is copied at all.</summary>
internal static class DiskCopy
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Answers why there is none, in words.</summary>
    public static async Task<string?> RunAsync(string disk, string to, TimeProvider time, CancellationToken cancellationToken)
    {
        var copied = await OutsideProgram.RunAsync("/bin/cp", ["--sparse=always", "--reflink=auto", "--", disk, to], Limit, time, cancellationToken);
        return copied.ExitCode == 0 ? null : copied.Output.Trim();
    }
}
