using System.Diagnostics;

namespace Caisson.Storage.Tests.Processes;

internal static class ChildProcess
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Starts the child, kills it with SIGKILL once <paramref name="enough"/> says so, and answers every whole line it wrote.</summary>
    internal static async Task<IReadOnlyList<string>> RunUntilKilledAsync(string role, string folder, Func<IReadOnlyList<string>, bool> enough)
    {
        using var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["child", role, folder]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var lines = new List<string>();
        var killed = false;
        try
        {
            while (await process.StandardOutput.ReadLineAsync().WaitAsync(Patience, TimeProvider.System) is { } line)
            {
                if (line.EndsWith('.'))
                    lines.Add(line[..^1]);
                if (!killed && enough(lines))
                {
                    killed = true;
                    process.Kill();
                }
            }
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        Assert.True(killed, $"the child ended by itself after {lines.Count} lines: {await errors}");
        return lines;
    }
}
