using System.Globalization;
using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite;

namespace Caisson.Bench.Workloads;

/// <summary>
/// What a run costs that waits for a signal, after one step: held in memory, and unloaded. Each is measured in a process
/// of its own, as the growth from a few runs to many, so that what a server needs anyway does not count.
/// </summary>
internal static class MemoryWorkload
{
    internal const string ChildVerb = "memory-of";

    private const int Few = 500;
    private const int Many = 10_000;
    private const string Held = "held";
    private const string Unloaded = "unloaded";
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    private static readonly Figure HeldWorking = new($"a waiting run in memory ({Many:N0} of them): working set each", "0.0", "KiB", "≤ 40 KiB");
    private static readonly Figure HeldManaged = new("… of it managed, after a full collection", "0.0", "KiB");
    private static readonly Figure UnloadedWorking = new("a waiting run that is unloaded: working set each", "0.0", "KiB");
    private static readonly Figure UnloadedManaged = new("… of it managed, after a full collection", "0.00", "KiB", "0");

    internal static async Task MeasureAsync(Round round)
    {
        if (round.IsWarmUp)
            return;
        var held = await ChildAsync(Held, round.Folder());
        round.Add(HeldWorking, held.Working);
        round.Add(HeldManaged, held.Managed);
        var unloaded = await ChildAsync(Unloaded, round.Folder());
        round.Add(UnloadedWorking, unloaded.Working);
        round.Add(UnloadedManaged, unloaded.Managed);
    }

    private static async Task<(double Managed, double Working)> ChildAsync(string how, string folder)
    {
        var line = await Children.AnswerAsync([ChildVerb, how, folder]);
        var parts = line.Split(' ').Select(part => double.Parse(part, CultureInfo.InvariantCulture)).ToArray();
        return (parts[0], parts[1]);
    }

    /// <summary>The child's side: prints KiB a run, managed and of the working set.</summary>
    internal static async Task<int> MeasureHereAsync(string how, string folder)
    {
        var options = new EngineOptions { MaxConcurrentRuns = Few + Many, HoldWaiting = how == Held ? TimeSpan.FromHours(1) : TimeSpan.FromMilliseconds(1) };
        await using var bench = BenchEngine.Open(folder, new WaitingAgent(), options);
        await bench.StartAsync();
        await WaitAsync(bench, how, Few, Few);
        var before = Read();
        await WaitAsync(bench, how, Many, Few + Many);
        var after = Read();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(after.Managed - before.Managed) / 1024.0 / Many:0.000} {(after.Working - before.Working) / 1024.0 / Many:0.000}"));
        return 0;
    }

    private static async Task WaitAsync(BenchEngine bench, string how, int more, int total)
    {
        await bench.CreateAsync(more, 1);
        while (await WaitingAsync(bench.Store) < total || (how == Unloaded && bench.Engine.Running > 0))
            await Task.Delay(LookEvery);
    }

    private static async Task<int> WaitingAsync(SqliteStore store)
    {
        var count = 0;
        RunId? before = null;
        while (await store.ListAsync(new RunFilter([RunStatus.Waiting], null, before, 1_000), default) is { Count: > 0 } page)
            (count, before) = (count + page.Count, page[^1].Id);
        return count;
    }

    private static (long Managed, long Working) Read()
    {
        for (var i = 0; i < 3; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        return (GC.GetTotalMemory(forceFullCollection: false), Environment.WorkingSet);
    }

    private sealed class WaitingAgent : IAgent
    {
        public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
        {
            var result = Payload.Text(context.Run.GetHashCode());
            await context.StepAsync("step", () => Task.FromResult(result));
            return await context.WaitForSignalAsync("go") is { } signal ? signal.Payload : "";
        }
    }
}
