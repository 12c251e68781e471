using System.Globalization;
using Caisson.Bench.Host;
using Caisson.Bench.Measuring;
using Caisson.Bench.Peers;
using Caisson.Bench.Workloads;

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

try
{
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
    }
}
catch (InvalidOperationException problem)
{
    Console.Error.WriteLine($"bench: {problem.Message}");
    return 1;
}
