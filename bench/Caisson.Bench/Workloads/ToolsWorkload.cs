using Caisson.Bench.Measuring;

namespace Caisson.Bench.Workloads;

/// <summary>
/// Agents whose steps take time, as tools do: how much longer all of them take than one alone would. From the first
/// run's creation, on an engine that runs already, to the last run's durable end.
/// </summary>
internal static class ToolsWorkload
{
    private const int Steps = 20;
    private static readonly TimeSpan Tool = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Ideal = Steps * Tool;

    private static readonly Figure Few = new($"500 runs × {Steps} steps × 50 ms, from creation to end ÷ ideal ({Ideal.TotalSeconds:0} s)", "0.00", "×", "≤ 1.3 ×");
    private static readonly Figure Many = new($"2,000 runs × {Steps} steps × 50 ms, from creation to end", "0.00", "s", "≤ 2.5 s");

    internal static async Task MeasureAsync(Round round)
    {
        round.Add(Few, await RunAsync(round.Folder(), 500) / Ideal);
        round.Add(Many, (await RunAsync(round.Folder(), 2_000)).TotalSeconds);
    }

    private static async Task<TimeSpan> RunAsync(string folder, int runs)
    {
        await using var bench = BenchEngine.Open(folder, new StepAgent(Tool));
        await bench.StartAsync();
        var ended = bench.Observed.WhenEnded(runs);
        var meter = new Meter();
        await bench.CreateAsync(runs, Steps);
        await ended;
        return meter.Read().Wall;
    }
}
