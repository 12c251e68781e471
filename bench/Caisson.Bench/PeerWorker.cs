using System.Globalization;
using System.Text.Json;

namespace Caisson.Bench;

/// <summary>
/// Caisson as one of the peers: a process that is told on its input how many runs of how many steps to do, and answers
/// with the times. Every line is JSON.
/// </summary>
internal static class PeerWorker
{
    internal static async Task<int> RunAsync()
    {
        Console.WriteLine("""{"ready":true}""");
        while (await Console.In.ReadLineAsync() is { } line)
        {
            using var order = JsonDocument.Parse(line);
            int Number(string name) => order.RootElement.GetProperty(name).GetInt32();
            var (runs, steps) = (Number("runs"), Number("steps"));
            var folder = order.RootElement.GetProperty("folder").GetString()!;
            var work = new Work(runs, steps, TimeSpan.FromMilliseconds(Number("ms")));
            await using var world = new World(folder, work);
            var (cpu, start) = (Environment.CpuUsage.TotalTime, System.Diagnostics.Stopwatch.GetTimestamp());
            await world.Engine.StartAsync(default);
            await world.CreateAsync(runs);
            await work.Ended;
            var took = System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $$"""{"seconds":{{took}},"cpu":{{(Environment.CpuUsage.TotalTime - cpu).TotalSeconds}},"p50":{{Figures.Percentile(work.Latencies, 0.5)}},"p99":{{Figures.Percentile(work.Latencies, 0.99)}}}"""));
        }

        return 0;
    }
}
