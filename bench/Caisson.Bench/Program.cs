using System.Globalization;
using System.Runtime.InteropServices;
using Caisson.Bench;

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
}
