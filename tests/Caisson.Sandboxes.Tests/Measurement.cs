using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Sandboxes;
using Caisson.Storage.Sqlite.Blobs;

namespace Caisson.Sandboxes.Tests;

/// <summary>`Caisson.Sandboxes.Tests measure KIND`: what a box costs on this machine, as medians.</summary>
internal static class Measurement
{
    public static async Task<int> RunAsync(string kind, int many = 40)
    {
        var directory = Directory.CreateTempSubdirectory("caisson-measure-").FullName;
        await using var provider = BoxKinds.Open(kind, Boxes.Options(directory), new FileBlobStore(Path.Combine(directory, "blobs"), new byte[32]));
        var spec = new SandboxSpec(default, 1, new SandboxSettings { Cpu = 2 }, null);
        await provider.ProbeAsync(default);

        await MeasureStartsAsync(provider, spec, 40);
        var one = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox;
        await MeasureCallsAsync(one);
        await one.MustAsync("python3 -c 'import os\nfor i in range(2000): os.makedirs(f\"src/{i//100}\", exist_ok=True); open(f\"src/{i//100}/{i%100}\", \"wb\").write(os.urandom(2000))'");
        await RepeatAsync("save 2,000 new files", 1, () => one.SaveWorkspaceAsync(default));
        var root = ((WorkspaceSaveOutcome.Saved)await one.SaveWorkspaceAsync(default)).Root;
        await RepeatAsync("save, 2,000 files, nothing changed", 20, () => one.SaveWorkspaceAsync(default), () => one.ThawAsync(default));
        await RepeatAsync("save, 2,000 files, one changed", 20, () => one.SaveWorkspaceAsync(default), () => one.MustAsync("date +%N > src/7/7"));
        await RepeatAsync("restore, live, one changed", 20, () => one.RestoreWorkspaceAsync(root, default), () => one.MustAsync("date +%N > src/7/7"));
        await RepeatAsync("create with 2,000 files", 3, async () =>
        {
            var box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec with { Workspace = root }, default)).Sandbox;
            await TrueAsync(box);
            await box.DestroyAsync();
        });
        await MeasureTreeAsync(one);
        await RepeatAsync("20,000 stats from Python", 5, () => one.MustAsync("python3 -c 'import os\nfor i in range(20000): os.stat(\"/usr/bin/env\")'"));
        await one.DestroyAsync();
        if (kind == "gvisor")
        {
            await MeasureCheckpointsAsync(provider, spec);
            await MeasureClaimsAsync(Path.Combine(directory, "pool"), new FileBlobStore(Path.Combine(directory, "blobs"), new byte[32]), spec);
        }

        await MeasureManyAsync(provider, spec with { Limits = spec.Limits with { DiskBytes = 64L << 20 } }, many);
        await provider.DisposeAsync();
        Directory.Delete(directory, recursive: true);
        return 0;
    }

    /// <summary>Of virtual machines, fewer: emulated ones take seconds.</summary>
    public static async Task<int> RunMachinesAsync()
    {
        var directory = Directory.CreateTempSubdirectory("caisson-measure-").FullName;
        await using var provider = BoxKinds.Open("microvm", Boxes.Options(directory), new FileBlobStore(Path.Combine(directory, "blobs"), new byte[32]));
        var spec = new SandboxSpec(default, 1, new SandboxSettings { Cpu = 1 }, null);
        Console.WriteLine((await provider.ProbeAsync(default)).Detail);
        await MeasureStartsAsync(provider, spec, 7);
        var one = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox;
        await MeasureCallsAsync(one);
        await one.MustAsync("python3 -c 'import os\nfor i in range(20000): os.stat(\"/usr/bin/env\")'");
        await RepeatAsync("20,000 stats from Python", 3, () => one.MustAsync("python3 -c 'import os\nfor i in range(20000): os.stat(\"/usr/bin/env\")'"));
        await one.DestroyAsync();
        await MeasureManyAsync(provider, spec, 3);
        await provider.DisposeAsync();
        Directory.Delete(directory, recursive: true);
        return 0;
    }

    private static async Task MeasureStartsAsync(Caisson.Sandboxes.Boxes.BoxProvider provider, SandboxSpec spec, int times)
    {
        var cold = new List<double>();
        var destroy = new List<double>();
        for (var i = 0; i < times; i++)
        {
            ISandbox box = null!;
            cold.Add(await TimeAsync(async () =>
            {
                var outcome = await provider.CreateAsync(spec, default);
                box = outcome is SandboxCreateOutcome.Started started ? started.Sandbox : throw new InvalidOperationException($"{outcome}");
                await TrueAsync(box);
            }));
            destroy.Add(await TimeAsync(() => box.DestroyAsync()));
        }

        Print("create to first command", cold);
        Print("destroy, verified", destroy);
    }

    private static async Task MeasureCallsAsync(ISandbox one)
    {
        await RepeatAsync("exec /bin/true", 100, () => TrueAsync(one));
        await RepeatAsync("write a file of 1 KiB", 50, () => one.WriteFileAsync("small", new byte[1024], default));
        await RepeatAsync("freeze", 50, () => one.FreezeAsync(default), () => one.ThawAsync(default));
        await RepeatAsync("thaw", 50, () => one.ThawAsync(default), () => one.FreezeAsync(default));
    }

    private static async Task MeasureTreeAsync(ISandbox box)
    {
        await box.MustAsync("rm -rf src; python3 -c 'import os\nfor i in range(10000): os.makedirs(f\"big/{i//100}\", exist_ok=True); open(f\"big/{i//100}/{i%100}\", \"wb\").write(os.urandom(2000))'");
        await box.SaveWorkspaceAsync(default);
        await RepeatAsync("save, 10,000 files, 10 changed", 20, () => box.SaveWorkspaceAsync(default), () => box.MustAsync("for i in 0 1 2 3 4 5 6 7 8 9; do date +%N > big/$i/7; done; sleep 0.1"));
    }

    private static async Task MeasureCheckpointsAsync(Caisson.Sandboxes.Boxes.BoxProvider provider, SandboxSpec spec)
    {
        var (take, restore) = (new List<double>(), new List<double>());
        for (var i = 0; i < 10; i++)
        {
            var box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox;
            await box.MustAsync("echo x > file");
            CheckpointOutcome outcome = null!;
            take.Add(await TimeAsync(async () => outcome = await box.CheckpointAsync(new CheckpointMark(default, 1, 1, 1, null), default)));
            var kept = ((CheckpointOutcome.Taken)outcome).Checkpoint;
            await box.DestroyAsync();
            restore.Add(await TimeAsync(async () =>
            {
                box = ((SandboxCreateOutcome.Started)await provider.RestoreAsync(kept, spec, default)).Sandbox;
                await TrueAsync(box);
            }));
            await box.DestroyAsync();
            provider.Discard(kept);
        }

        Print("checkpoint", take);
        Print("restore to first command", restore);
    }

    /// <summary>From the request to the first command's end, for boxes that stand ready.</summary>
    private static async Task MeasureClaimsAsync(string directory, FileBlobStore blobs, SandboxSpec spec)
    {
        var options = new SandboxOptions { StateDirectory = directory, GuestPath = Boxes.Guest, Pool = 8 };
        await using var host = new Caisson.Sandboxes.Boxes.BoxHost(options, blobs, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        var provider = Caisson.Sandboxes.Boxes.BoxProvider.GVisor(host);
        await ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox.DestroyAsync();
        var claims = new List<double>();
        for (var round = 0; round < 3; round++)
        {
            await Eventually.SeesAsync(() => Task.FromResult(host.List().Count(b => b.State == SandboxState.Ready)), ready => ready == 8, TimeSpan.FromMinutes(1));
            for (var i = 0; i < 8; i++)
            {
                ISandbox box = null!;
                claims.Add(await TimeAsync(async () =>
                {
                    box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox;
                    await TrueAsync(box);
                }));
                await box.DestroyAsync();
            }
        }

        Print("warm claim to first command", claims);
    }

    private static async Task MeasureManyAsync(Caisson.Sandboxes.Boxes.BoxProvider provider, SandboxSpec spec, int count)
    {
        var start = TimeProvider.System.GetTimestamp();
        var many = await Task.WhenAll(Enumerable.Range(0, count).Select(async _ =>
        {
            var box = ((SandboxCreateOutcome.Started)await provider.CreateAsync(spec, default)).Sandbox;
            await TrueAsync(box);
            await box.FreezeAsync(default);
            return box;
        }));
        var started = TimeProvider.System.GetElapsedTime(start);
        var before = await Task.WhenAll(many.Select(b => b.StatsAsync(default)));
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
        var after = await Task.WhenAll(many.Select(b => b.StatsAsync(default)));
        var cpu = after.Sum(s => s.Cpu.TotalMilliseconds) - before.Sum(s => s.Cpu.TotalMilliseconds);
        start = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(many.Select(b => b.DestroyAsync()));
        var ended = TimeProvider.System.GetElapsedTime(start);
        var each = after.Average(s => s.MemoryBytes) / (1 << 20);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{count} frozen boxes: {each:0.0} MiB and {after.Average(s => s.Processes):0} tasks each, {cpu:0.0} ms of CPU in 5 s together; started in {started.TotalSeconds:0.0} s, destroyed in {ended.TotalSeconds:0.0} s"));
    }

    private static Task<ExecOutcome> TrueAsync(ISandbox box) =>
        box.ExecAsync(new ExecRequest(["/bin/true"], null, new Dictionary<string, string>(), default, TimeSpan.FromSeconds(10), 1000), default);

    private static async Task RepeatAsync(string what, int times, Func<Task> action, Func<Task>? before = null)
    {
        var samples = new List<double>();
        for (var i = 0; i < times; i++)
        {
            if (before is not null)
                await before();
            samples.Add(await TimeAsync(action));
        }

        Print(what, samples);
    }

    private static async Task<double> TimeAsync(Func<Task> action)
    {
        var start = TimeProvider.System.GetTimestamp();
        await action();
        return TimeProvider.System.GetElapsedTime(start).TotalMilliseconds;
    }

    private static void Print(string what, List<double> samples)
    {
        samples.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{what,-40} p50 {samples[samples.Count / 2],8:0.0} ms   p95 {samples[(int)(0.95 * (samples.Count - 1))],8:0.0} ms   max {samples[^1],8:0.0} ms   n {samples.Count}"));
    }
}
