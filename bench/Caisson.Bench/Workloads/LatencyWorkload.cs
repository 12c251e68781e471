using Caisson.Bench.Measuring;

namespace Caisson.Bench.Workloads;

/// <summary>How long one run waits for each of its steps when it is alone.</summary>
internal static class LatencyWorkload
{
    private const int Steps = 400;

    private static readonly Figure P50 = new($"1 run × {Steps} steps: step latency p50", "0.000", "ms");
    private static readonly Figure Ratio = new("… ÷ the disk's append + fdatasync p50", "0.00", "×", "≤ 1.3 ×");
    private static readonly Figure SqliteRatio = new("… ÷ SQLite's one row, one commit p50", "0.00", "×");
    private static readonly Figure P99 = new("… p99", "0.000", "ms");

    internal static async Task MeasureAsync(Round round)
    {
        var agent = new StepAgent();
        await using var bench = BenchEngine.Open(round.Folder(), agent);
        await bench.CreateAsync(1, Steps);
        var ended = bench.Observed.WhenEnded(1);
        await bench.StartAsync();
        await ended;

        var times = agent.Runs.Single();
        var p50 = Statistics.Median(times);
        round.Add(P50, p50);
        round.Add(Ratio, p50 / round.Floor.SyncP50);
        round.Add(SqliteRatio, p50 / round.Floor.CommitP50);
        round.Add(P99, Statistics.Percentile(times, 0.99));
    }
}
