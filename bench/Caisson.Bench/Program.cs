using System.Globalization;
using System.Runtime.InteropServices;
using Caisson.Bench;

// Rounds are interleaved, so that the disk's mood is the same for the floor and for what is measured against it.
var rounds = args is [var n] ? int.Parse(n, CultureInfo.InvariantCulture) : 5;
var root = Directory.CreateDirectory(Path.Combine(Environment.CurrentDirectory, "artifacts", "bench")).FullName;
var floorP50 = new List<double>();
var floorRate = new List<double>();
var bareP50 = new List<double>();
var single = new List<Workload.Figures>();
var many = new List<Workload.Figures>();
for (var round = 0; round <= rounds; round++)
{
    var folder = Path.Combine(root, $"round-{round}");
    if (Directory.Exists(folder))
        Directory.Delete(folder, recursive: true);
    Directory.CreateDirectory(folder);
    var floor = Floor.Syncs(folder, 400);
    var bare = BareSqlite.Commits(folder, 400);
    var one = await Workload.MeasureAsync(Path.Combine(folder, "one"), runs: 1, steps: 400);
    var all = await Workload.MeasureAsync(Path.Combine(folder, "many"), runs: 500, steps: 20);
    Directory.Delete(folder, recursive: true);

    // The first round warms the code up and does not count.
    if (round == 0)
        continue;
    floorP50.Add(Statistics.Percentile(floor, 0.5));
    floorRate.Add(1000 / floor.Average());
    bareP50.Add(Statistics.Percentile(bare, 0.5));
    single.Add(one);
    many.Add(all);
}

Console.WriteLine($"{RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores, .NET {Environment.Version}, {rounds} rounds: median [least–most]");
Console.WriteLine();
Console.WriteLine("| what | figure |");
Console.WriteLine("|---|---|");
Console.WriteLine($"| disk: append 2 KiB + fdatasync, p50 | {Statistics.Spread(floorP50, "0.000")} ms |");
Console.WriteLine($"| disk: syncs/s, one after another | {Statistics.Spread(floorRate, "0")} |");
Console.WriteLine($"| SQLite by itself: one row of 2 KiB, one commit, p50 | {Statistics.Spread(bareP50, "0.000")} ms |");
Console.WriteLine($"| 1 run × 400 steps: latency p50 | {Statistics.Spread(single.Select(f => f.P50), "0.000")} ms |");
Console.WriteLine($"| … as a ratio to the disk's p50 of the same round | {Statistics.Spread(single.Zip(floorP50, (f, d) => f.P50 / d), "0.00")} × |");
Console.WriteLine($"| … as a ratio to SQLite's p50 of the same round | {Statistics.Spread(single.Zip(bareP50, (f, d) => f.P50 / d), "0.00")} × |");
Console.WriteLine($"| 1 run × 400 steps: latency p99 | {Statistics.Spread(single.Select(f => f.P99), "0.000")} ms |");
Console.WriteLine($"| 500 runs × 20 steps: steps/s | {Statistics.Spread(many.Select(f => f.StepsPerSecond), "0")} |");
Console.WriteLine($"| … as a ratio to the disk's syncs/s of the same round | {Statistics.Spread(many.Zip(floorRate, (f, d) => f.StepsPerSecond / d), "0.0")} × |");
Console.WriteLine($"| … step latency p50, p99 | {Statistics.Spread(many.Select(f => f.P50), "0.0")} ms, {Statistics.Spread(many.Select(f => f.P99), "0.0")} ms |");
Console.WriteLine($"| … CPU seconds per 1,000 steps | {Statistics.Spread(many.Select(f => f.CpuSecondsPer1000), "0.000")} |");
