using Caisson.Bench.Measuring;

namespace Caisson.Bench.Workloads;

/// <summary>Many runs at once. All are accepted before the clock starts; it stops when the last run's end is durable.</summary>
internal static class ThroughputWorkload
{
    private const int Runs = 500;
    private const int Steps = 20;

    private static readonly Figure Rate = new($"{Runs} runs × {Steps} steps: steps/s", "0", Target: "≥ 20,000");
    private static readonly Figure Ratio = new("… ÷ the bare writer's rows/s", "0", "%", "≥ 60 %");
    private static readonly Figure Cpu = new("… CPU seconds per 1,000 steps", "0.000", Target: "≤ 0.08");
    private static readonly Figure P50 = new("… step latency p50", "0.0", "ms");
    private static readonly Figure P99 = new("… step latency p99", "0.0", "ms");

    internal static async Task MeasureAsync(Round round)
    {
        var agent = new StepAgent();
        await using var bench = BenchEngine.Open(round.Folder(), agent);
        await bench.CreateAsync(Runs, Steps);
        var ended = bench.Observed.WhenEnded(Runs);
        var meter = new Meter();
        await bench.StartAsync();
        await ended;
        var (wall, cpu) = meter.Read();

        const int total = Runs * Steps;
        var times = agent.Runs.SelectMany(run => run).ToArray();
        round.Add(Rate, total / wall.TotalSeconds);
        round.Add(Ratio, 100 * total / wall.TotalSeconds / round.Floor.RowsPerSecond);
        round.Add(Cpu, cpu.TotalSeconds / total * 1000);
        round.Add(P50, Statistics.Median(times));
        round.Add(P99, Statistics.Percentile(times, 0.99));
    }
}
