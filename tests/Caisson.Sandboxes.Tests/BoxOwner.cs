using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Storage.Sqlite.Blobs;

namespace Caisson.Sandboxes.Tests;

/// <summary>A process that owns one running and one frozen box, says so, and then waits to be killed.</summary>
internal static class BoxOwner
{
    public const string Ready = "ready";

    private static readonly bool[] RunningAndFrozen = [false, true];

    public static async Task<int> RunAsync(string kind, string directory)
    {
        var blobs = new FileBlobStore(Path.Combine(directory, "blobs"), new byte[32]);
        await using var provider = BoxKinds.Open(kind, Boxes.Options(directory), blobs);
        var spec = new SandboxSpec(default, 1, new SandboxSettings(), null);
        foreach (var freeze in RunningAndFrozen)
        {
            if (await provider.CreateAsync(spec, default) is not SandboxCreateOutcome.Started { Sandbox: var box })
                return 1;
            var busy = box.RunAsync("trap '' TERM INT HUP; (setsid sleep 4001 &); echo > busy; while :; do :; done", TimeSpan.FromMinutes(5));
            await Eventually.SeesAsync(() => box.MustAsync("ls"), names => names.Contains("busy", StringComparison.Ordinal));
            if (freeze)
                await box.FreezeAsync(default);
        }

        Console.WriteLine(Ready);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System);
        return 0;
    }

    public static Process Start(string kind, string directory)
    {
        var process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["own-boxes", kind, directory]) { RedirectStandardOutput = true })!;
        return process;
    }
}
