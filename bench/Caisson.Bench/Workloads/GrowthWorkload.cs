using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;

namespace Caisson.Bench.Workloads;

/// <summary>
/// Whether a run gets dearer as it grows: its last steps against those of a young run that follows on the same store, so
/// that both find the same files. And what its entries take on the disk.
/// </summary>
internal static class GrowthWorkload
{
    private const int Long = 2_000;
    private const int Young = 150;
    private const int Window = 100;

    private static readonly Figure Cost = new($"1 run × {Long:N0} steps: cost of a step about {Long:N0} ÷ about {Young - (Window / 2)}", "0.00", "×", "≤ 1.1 ×");
    private static readonly Figure Bytes = new("… bytes of the database ÷ bytes of the results", "0.00", "×", "≤ 1.5 ×");

    internal static async Task MeasureAsync(Round round)
    {
        var folder = round.Folder();
        var agent = new StepAgent();
        long empty;
        await using (var bench = BenchEngine.Open(folder, agent))
        {
            empty = DatabaseFiles.BytesAfterCheckpoint(bench.Store.Database);
            await bench.StartAsync();
            foreach (var steps in (int[])[Long, Young])
            {
                var ended = bench.Observed.WhenEnded(1);
                await bench.CreateAsync(1, steps);
                await ended;
            }
        }

        var times = agent.Runs.ToList();
        round.Add(Cost, Statistics.Median(times[0][^Window..]) / Statistics.Median(times[1][^Window..]));
        round.Add(Bytes, (DatabaseFiles.BytesIn(folder) - empty) / (double)((Long + Young) * Payload.ResultBytes));
    }
}
