using System.Diagnostics;
using Caisson.Sandboxes.Boxes;

namespace Caisson.Sandboxes.Tests;

/// <summary>A real registry on a loopback port of its own, without TLS. scripts/setup fetches the program; where it could not, its test is skipped.</summary>
internal sealed class Registry : IAsyncDisposable
{
    private readonly Process _process;

    private Registry(Process process, string address) => (_process, Address) = (process, address);

    /// <summary>Host and port.</summary>
    public string Address { get; }

    public static async Task<Registry> StartAsync(string folder)
    {
        var program = HostTools.Find(null, "docker-registry");
        Assert.SkipWhen(program is null, "no docker-registry: scripts/setup fetches it");
        var configuration = Path.Combine(folder, "registry.yml");
        await File.WriteAllTextAsync(configuration, $"version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: '{folder}/registry' }} }}\nhttp: {{ addr: '127.0.0.1:0' }}\n");
        var process = Process.Start(new ProcessStartInfo(program!, ["serve", configuration]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        const string Says = "listening on ";
        while (await process.StandardError.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System) is { } line)
        {
            if (line.IndexOf(Says, StringComparison.Ordinal) is var at and >= 0)
            {
                // Read on, or it stands still when the pipe is full.
                _ = process.StandardError.ReadToEndAsync();
                _ = process.StandardOutput.ReadToEndAsync();
                return new Registry(process, line[(at + Says.Length)..].Split('"')[0]);
            }
        }

        throw new InvalidOperationException("the registry ended before it listened");
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
    }
}
