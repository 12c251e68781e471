using System.Globalization;
using System.Runtime.InteropServices;
using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;
using Caisson.Bench.Workloads;

// Caisson.Bench [WORKLOAD…] [--rounds N]: the named workloads, or all. `hot` is a quick look at the first two.
Dictionary<string, Func<Round, Task>> workloads = new()
{
    ["latency"] = LatencyWorkload.MeasureAsync,
    ["throughput"] = ThroughputWorkload.MeasureAsync,
};
var rounds = 5;
var chosen = new List<string>();
for (var i = 0; i < args.Length; i++)
{
    if (args[i] == "--rounds" && i + 1 < args.Length && int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 100)
        (rounds, i) = (count, i + 1);
    else if (args[i] == "hot")
        (chosen, rounds) = ([.. chosen, "latency", "throughput"], 2);
    else if (workloads.ContainsKey(args[i]))
        chosen.Add(args[i]);
    else
    {
        Console.Error.WriteLine($"usage: Caisson.Bench [hot | WORKLOAD…] [--rounds N]; workloads: {string.Join(' ', workloads.Keys)}");
        return 2;
    }
}

#if DEBUG
Console.Error.WriteLine("warning: a debug build; its figures mean nothing: dotnet run -c Release");
#endif
var root = Path.Combine(Environment.CurrentDirectory, "artifacts", "bench", $"{Environment.ProcessId}");
var report = new Report();
var warm = new Report();

// The first round warms the code up and does not count.
for (var number = 0; number <= rounds; number++)
{
    var folder = Path.Combine(root, $"round-{number}");
    Directory.CreateDirectory(folder);
    var floor = Floor.Measure(folder);
    using var round = new Round(folder, number == 0 ? warm : report) { Floor = floor };
    floor.AddTo(round.Report);
    foreach (var name in chosen.Count > 0 ? chosen : [.. workloads.Keys])
        await workloads[name](round);
}

Directory.Delete(root);
Console.WriteLine($"{RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores, .NET {Environment.Version}, {rounds} rounds: median [least–most]");
Console.WriteLine();
Console.Write(report.Markdown());
return 0;
