using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;

namespace Caisson.Bench.Workloads;

/// <summary>Whether a run gets dearer as it grows: its late steps against its early ones, and its bytes on the disk.</summary>
internal static class GrowthWorkload
{
    private const int Steps = 2_000;
    private const int Window = 100;
    private const int Early = 50;

    private static readonly Figure Cost = new($"1 run × {Steps:N0} steps: cost of a step about {Steps:N0} ÷ about {Early + (Window / 2)}", "0.00", "×", "≤ 1.1 ×");
    private static readonly Figure Bytes = new("… bytes of the database ÷ bytes of the results", "0.00", "×", "≤ 1.5 ×");

    internal static async Task MeasureAsync(Round round)
    {
        var folder = round.Folder();
        var agent = new StepAgent(Steps);
        long empty;
        await using (var bench = BenchEngine.Open(folder, agent))
        {
            empty = DatabaseFiles.BytesAfterCheckpoint(bench.Store.Database);
            await bench.CreateAsync(1, Steps);
            var ended = bench.Observed.WhenEnded(1);
            await bench.StartAsync();
            await ended;
        }

        var times = agent.Runs.Single();
        round.Add(Cost, Statistics.Median(times[^Window..]) / Statistics.Median(times[Early..(Early + Window)]));
        round.Add(Bytes, (DatabaseFiles.BytesIn(folder) - empty) / (double)(Steps * Payload.ResultBytes));
    }
}
