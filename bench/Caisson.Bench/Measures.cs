using System.Diagnostics;

namespace Caisson.Bench;

/// <summary>One round of each workload. Each begins in an empty folder.</summary>
internal static class Measures
{
    private static readonly TimeSpan s_noPause = TimeSpan.Zero;

    internal static async Task LatencyAsync(string folder, Figures figures)
    {
        var floor = Figures.Percentile(Floors.Appends(folder, 400), 0.5);
        var bare = Figures.Percentile(Floors.Commits(folder, 400), 0.5);
        var work = new Work(1, 2000, s_noPause);
        await RunAsync(Path.Combine(folder, "one"), work, 1);

        // The log's file is made longer within the first quarter of a second; what a server's runs meet is what comes after it.
        var steps = work.Latencies.Skip(500).ToArray();
        var (p50, p99) = (Figures.Percentile(steps, 0.5), Figures.Percentile(steps, 0.99));
        figures.Add("disk: append 2 KiB and sync, p50", floor, "0.000 ms");
        figures.Add("SQLite alone: one row of 2 KiB, one commit, p50", bare, "0.000 ms");
        figures.Add("1 run × 2,000 steps: step from 500 on, p50", p50, "0.000 ms");
        figures.Add("… as a ratio to the disk", p50 / floor, "0.00 ×", "≤ 1.3 ×");
        figures.Add("… as a ratio to SQLite alone, p50", p50 / bare, "0.00 ×");
        figures.Add("… p99", p99, "0.00 ms");
        double Around(int step) => Figures.Percentile(work.Latencies.Skip(step - 100).Take(200), 0.5);
        figures.Add("… step 1,900 against step 100", Around(1900) / Around(100), "0.00 ×", "≤ 1.1 ×");
    }

    internal static async Task ThroughputAsync(string folder, Figures figures)
    {
        const int runs = 500, steps = 20;
        var writer = Floors.Writer(folder, runs * steps * 2);
        var work = new Work(runs, steps, s_noPause);
        var (took, cpu) = await RunAsync(Path.Combine(folder, "many"), work, runs);
        var rate = runs * steps / took.TotalSeconds;
        figures.Add("SQLite alone: 500 entries of 2 KiB a commit", writer, "0 entries/s");
        figures.Add("500 runs × 20 steps", rate, "0 steps/s", "≥ 20,000");
        figures.Add("… as a ratio to SQLite alone", 100 * rate / writer, "0 %", "≥ 60 %");
        figures.Add("… processor time for 1,000 steps", cpu.TotalSeconds / (runs * steps) * 1000, "0.000 s", "≤ 0.08 s");
        figures.Add("… each step, p50", Figures.Percentile(work.Latencies, 0.5), "0.0 ms");
        figures.Add("… each step, p99", Figures.Percentile(work.Latencies, 0.99), "0.0 ms");
    }

    /// <summary>The same with enough steps that claims, ends and the compiler's work weigh little.</summary>
    internal static async Task SteadyAsync(string folder, Figures figures)
    {
        const int runs = 500, steps = 100;
        var work = new Work(runs, steps, s_noPause);
        var path = Path.Combine(folder, "steady");
        var (took, cpu) = await RunAsync(path, work, runs);
        figures.Add("500 runs × 100 steps", runs * steps / took.TotalSeconds, "0 steps/s");
        figures.Add("… processor time for 1,000 of them", cpu.TotalSeconds / (runs * steps) * 1000, "0.000 s");

        // The log was moved into the database when the store was closed.
        figures.Add("… bytes on disk for each byte of a result", new FileInfo(Path.Combine(path, "caisson.db")).Length / (2048.0 * runs * steps), "0.00 ×", "≤ 1.5 ×");
    }

    internal static async Task ToolsAsync(string folder, Figures figures)
    {
        var pause = TimeSpan.FromMilliseconds(50);
        var (few, _) = await RunAsync(Path.Combine(folder, "few"), new Work(500, 20, pause), 500);
        figures.Add("500 runs × 20 steps × 50 ms, against 1 s", few.TotalSeconds, "0.00 ×", "≤ 1.3 ×");
        var (many, _) = await RunAsync(Path.Combine(folder, "lots"), new Work(2000, 20, pause), 2000);
        figures.Add("2,000 runs × 20 steps × 50 ms", many.TotalSeconds, "0.00 s", "≤ 2.5 s");
    }

    internal static async Task ReplayAsync(string folder, Figures figures)
    {
        const int steps = 2000;
        await using (var world = new World(folder, new Work(1, steps, s_noPause, waits: true)))
        {
            await world.CreateAsync(1);
            await world.Engine.StartAsync(default);
            await world.UntilAllWaitAsync(1, unloaded: false);
        }

        var work = new Work(1, steps, s_noPause, waits: true);
        await using var next = new World(folder, work);
        await next.SignalAllAsync();
        var start = Stopwatch.GetTimestamp();
        await next.Engine.StartAsync(default);
        await work.Ended;
        figures.Add("replay of 2,000 steps, from the engine's start", Stopwatch.GetElapsedTime(start).TotalMilliseconds, "0 ms", "≤ 50 ms");
        figures.Add("… in the agent's code", work.Replayed.TotalMilliseconds, "0 ms");
        if (work.Executed > 0)
            throw new InvalidOperationException($"{work.Executed} recorded steps were executed again");
    }

    internal static async Task WaitingAsync(string folder, Figures figures)
    {
        const int runs = 2000;
        await using (var world = new World(Path.Combine(folder, "held"), new Work(runs, 0, s_noPause, waits: true)))
        {
            await world.CreateAsync(runs);
            var before = Memory();
            await world.Engine.StartAsync(default);
            await world.UntilAllWaitAsync(runs, unloaded: false);
            figures.Add("a run that waits, held in memory", (Memory() - before) / 1024.0 / runs, "0.0 KiB", "≤ 40 KiB");
        }

        await using (var world = new World(Path.Combine(folder, "unloaded"), new Work(runs, 0, s_noPause, waits: true), hold: TimeSpan.FromMilliseconds(1)))
        {
            await world.CreateAsync(runs);
            var before = Memory();
            await world.Engine.StartAsync(default);
            await world.UntilAllWaitAsync(runs, unloaded: true);
            figures.Add("a run that waits, unloaded", Math.Max(0, Memory() - before) / 1024.0 / runs, "0.0 KiB", "0");
        }
    }

    private static long Memory()
    {
        for (var i = 0; i < 3; i++)
        {
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        return GC.GetTotalMemory(forceFullCollection: true);
    }

    /// <summary>All runs are accepted before the clock runs, so that what is timed are claims, steps and ends.</summary>
    private static async Task<(TimeSpan Took, TimeSpan Cpu)> RunAsync(string folder, Work work, int runs)
    {
        await using var world = new World(folder, work);
        await world.CreateAsync(runs);
        var (cpu, start) = (Environment.CpuUsage.TotalTime, Stopwatch.GetTimestamp());
        await world.Engine.StartAsync(default);
        await work.Ended;
        return (Stopwatch.GetElapsedTime(start), Environment.CpuUsage.TotalTime - cpu);
    }
}
