using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;

namespace Caisson.Bench.Workloads;

/// <summary>Our own workloads by name, in rounds.</summary>
internal static class Suite
{
    internal static readonly OrderedDictionary<string, Func<Round, Task>> Known = new()
    {
        ["latency"] = LatencyWorkload.MeasureAsync,
        ["throughput"] = ThroughputWorkload.MeasureAsync,
        ["growth"] = GrowthWorkload.MeasureAsync,
        ["tools"] = ToolsWorkload.MeasureAsync,
        ["replay"] = ReplayWorkload.MeasureAsync,
        ["memory"] = MemoryWorkload.MeasureAsync,
        ["recovery"] = RecoveryWorkload.MeasureAsync,
        ["gateway"] = GatewayWorkload.MeasureAsync,
    };

    /// <summary>What the hot path decides, for a quick look.</summary>
    internal static readonly IReadOnlyList<string> Hot = ["latency", "throughput"];

    internal static async Task<int> RunAsync(IReadOnlyCollection<string> names, int rounds)
    {
        using var scratch = Scratch.InArtifacts();
        var report = new Report();

        // The first round warms the code up and does not count.
        for (var number = 0; number <= rounds; number++)
        {
            var folder = Directory.CreateDirectory(Path.Combine(scratch.Path, $"round-{number}")).FullName;
            using var round = new Round(folder, number == 0 ? new Report() : report, number == 0) { Floor = Floor.Measure(folder) };
            round.Floor.AddTo(round.Report);
            foreach (var name in names)
                await Known[name](round);
            await Console.Error.WriteLineAsync(number == 0 ? "warm" : $"round {number} of {rounds} done");
        }

        Console.WriteLine($"{Machine.Description}, {rounds} rounds: median [least–most]");
        Console.WriteLine();
        Console.Write(report.Markdown());
        return 0;
    }
}
