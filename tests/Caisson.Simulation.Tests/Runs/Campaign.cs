using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace Caisson.Simulation.Tests.Runs;

/// <summary>Many seeds, one after the other on each of a few threads, until the first bad one.</summary>
/// <param name="all">Goes on after a bad seed, and says each.</param>
internal sealed class Campaign(ulong first, int count, bool all = false)
{
    private readonly int _threads = Math.Clamp(Environment.ProcessorCount, 1, 8);
    private int _next;
    private int _done;
    private long _steps;
    private ScenarioResult? _bad;

    internal int Done => _done;

    internal long Steps => _steps;

    /// <returns>The first bad seed, or <c>null</c>.</returns>
    internal ScenarioResult? Run(Action<Campaign>? progress = null)
    {
        var threads = Enumerable.Range(0, Math.Min(_threads, count)).Select(_ => new Thread(() => Work(progress)) { IsBackground = true, Name = "simulation" }).ToList();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();
        return _bad;
    }

    private void Work(Action<Campaign>? progress)
    {
        while ((all || Volatile.Read(ref _bad) is null) && Interlocked.Increment(ref _next) is var nth && nth <= count)
        {
            var result = new Scenario(first + (ulong)(nth - 1)).Run();
            Interlocked.Increment(ref _done);
            Interlocked.Add(ref _steps, result.Steps);
            if (result.Violation is not null)
            {
                Interlocked.CompareExchange(ref _bad, result, null);
                if (all)
                    Console.WriteLine(result.Line);
            }

            progress?.Invoke(this);
        }
    }

    /// <summary><c>[SEED [N [all]]]</c>: the seed in hex or decimal, drawn where it is empty; one seed also says what came of it.</summary>
    internal static int Execute(IReadOnlyList<string> args)
    {
        var count = args.Count > 1 && args[1].Length > 0 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 1_000;
        var seed = args.Count > 0 && args[0].Length > 0 ? Parse(args[0]) : BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
        if (count == 1)
        {
            var scenario = new Scenario(seed, tells: true);
            var only = scenario.Run();
            if (only.Violation is not null)
            {
                foreach (var line in scenario.Story)
                    Console.WriteLine(line);
            }

            Console.WriteLine(only.Line);
            return only.Violation is null ? 0 : 1;
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seeds 0x{seed:x16} to 0x{seed + (ulong)count - 1:x16}"));
        var watch = Stopwatch.StartNew();
        var said = TimeSpan.Zero;
        var campaign = new Campaign(seed, count, all: args.Count > 2 && args[2].Length > 0);
        var bad = campaign.Run(so =>
        {
            lock (watch)
            {
                if (watch.Elapsed - said < TimeSpan.FromSeconds(10))
                    return;
                said = watch.Elapsed;
                Console.WriteLine(so.Progress(watch.Elapsed));
            }
        });
        Console.WriteLine(campaign.Progress(watch.Elapsed));
        if (bad is not null)
            Console.WriteLine(bad.Line);
        return bad is null ? 0 : 1;
    }

    private string Progress(TimeSpan elapsed) =>
        string.Create(CultureInfo.InvariantCulture, $"{Done} of {count} seeds, {Done / elapsed.TotalSeconds:0.0} a second, {Steps} steps");

    private static ulong Parse(string text) => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        ? ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
        : ulong.Parse(text, CultureInfo.InvariantCulture);
}
