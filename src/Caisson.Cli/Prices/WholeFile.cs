namespace Caisson.Cli.Prices;

/// <summary>Replaces a file whole: whoever reads it has the old content or the new one, also after a crash.</summary>
internal static class WholeFile
{
    internal static async Task WriteAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        var temporary = $"{path}.{Environment.ProcessId}.new";
        try
        {
            try
            {
                await using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None))
                {
                    await file.WriteAsync(content, cancellationToken);
                    file.Flush(flushToDisk: true);
                }

                File.Move(temporary, path, overwrite: true);
            }
            finally
            {
                // Moved, it is not there any more.
                File.Delete(temporary);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw CommandFailure.Usage($"--out: cannot write '{path}' ({e.Message}): give a file in a folder that you may write");
        }
    }
}
