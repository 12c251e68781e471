using System.Globalization;
using Caisson.Bench.Host;
using Caisson.Bench.Measuring;
using Caisson.Bench.Peers;
using Caisson.Bench.Workloads;

<<<<<<< HEAD
// Rounds are interleaved, so that the machine's mood is the same for the floor and for what is measured against it.
switch (args)
{
    case ["serve", var data, var log]:
        await Recovery.ServeAsync(data, log);
        return 0;
    case ["hot"]:
        return await RoundsAsync(3, Measures.LatencyAsync, Measures.ThroughputAsync, Measures.SteadyAsync);
    case []:
        return await RoundsAsync(5, All);
    case [var rounds] when int.TryParse(rounds, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n > 0:
        return await RoundsAsync(n, All);
    case ["worker"]:
        return await PeerWorker.RunAsync();
    default:
        Console.Error.WriteLine("bench: takes a number of rounds, or 'hot' for the rows of the step alone");
        return 2;
}

static async Task<int> RoundsAsync(int rounds, params Func<string, Figures, Task>[] measures)
{
    var root = Directory.CreateDirectory(Path.Combine(Environment.CurrentDirectory, "artifacts", "bench")).FullName;
    var figures = new Figures();

    // The first two rounds warm the code up and do not count.
    for (var round = -1; round <= rounds; round++)
    {
        if (round == 1)
            figures.Forget();
        foreach (var measure in measures)
        {
            var folder = Path.Combine(root, "round");
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
            Directory.CreateDirectory(folder);
            await measure(folder, figures);
            Directory.Delete(folder, recursive: true);
        }
    }

    Console.WriteLine($"{RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores, .NET {Environment.Version}, {rounds} rounds");
    Console.WriteLine();
    figures.Print(Console.Out);
    return 0;
}

internal static partial class Program
{
    private static readonly Func<string, Figures, Task>[] All =
        [Measures.LatencyAsync, Measures.ThroughputAsync, Measures.SteadyAsync, Measures.ToolsAsync, Measures.ReplayAsync, Measures.WaitingAsync, Recovery.MeasureAsync];
=======
using var endChildren = Children.EndOnInterrupt();
int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

// What other processes of the same program are asked to do.
switch (args)
{
    case [MemoryWorkload.ChildVerb, var how, var folder]:
        return await MemoryWorkload.MeasureHereAsync(how, folder);
    case [KillableHost.Verb, var data, var log, var runs, var steps, var toolMs]:
        return await KillableHost.ServeAsync(data, log, Number(runs), Number(steps), TimeSpan.FromMilliseconds(Number(toolMs)));
    case [PeerWorker.Verb, var data]:
        return await PeerWorker.ServeAsync(data);
}

#if DEBUG
Console.Error.WriteLine("warning: a debug build, whose figures mean nothing: dotnet run -c Release");
#endif
int? rounds = null;
var names = new List<string>();
for (var i = 0; i < args.Length; i++)
{
    if (args[i] == "--rounds" && i + 1 < args.Length && int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out var count) && count is >= 1 and <= 100)
        (rounds, i) = (count, i + 1);
    else
        names.Add(args[i]);
}

switch (names)
{
    case [PeerComparison.Verb, var tools]:
        return await PeerComparison.RunAsync(Path.GetFullPath(tools), rounds ?? 3);
    case ["hot"]:
        return await Suite.RunAsync(Suite.Hot, rounds ?? 2);
    case [] or ["all"]:
        return await Suite.RunAsync(Suite.Known.Keys, rounds ?? 5);
    case var chosen when chosen.All(Suite.Known.ContainsKey):
        return await Suite.RunAsync(chosen, rounds ?? 5);
    default:
        Console.Error.WriteLine($"usage: Caisson.Bench [all | hot | WORKLOAD… | {PeerComparison.Verb} FOLDER] [--rounds N]; workloads: {string.Join(' ', Suite.Known.Keys)}");
        return 2;
>>>>>>> bench
}
