using System.Diagnostics;
using System.Globalization;
using Caisson.Bench.Host;
using Caisson.Bench.Measuring;

namespace Caisson.Bench.Workloads;

/// <summary>
/// A real server process with runs in the middle of their steps is killed with SIGKILL, again and again. Its keeper, here
/// this program, starts it anew as the supervisor does: at once, when its exit is seen. What counts is when the work of
/// the first step begins after the kill, and when every run has begun one.
/// </summary>
internal static class RecoveryWorkload
{
    private const int Runs = 500;
    private const int Kills = 6;
    private const int Steps = 100_000;
    private const int ToolMs = 200;
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan GiveUp = TimeSpan.FromSeconds(60);

    // Between two kills runs make progress: a server that dies while it starts is another story.
    private static readonly TimeSpan Calm = TimeSpan.FromSeconds(1);

    private static readonly Figure First = new($"SIGKILL of a server with {Runs} runs → next step of any run, median of {Kills} kills", "0.00", "s");
    private static readonly Figure FirstWorst = new("… worst kill", "0.00", "s", "≤ 1 s p99");
    private static readonly Figure Restarted = new("… of it until the new process runs its first line", "0.00", "s");
    private static readonly Figure Serving = new("… of it until it serves", "0.00", "s");
    private static readonly Figure All = new($"SIGKILL → all {Runs} runs moving, median", "0.00", "s");
    private static readonly Figure AllWorst = new("… worst kill", "0.00", "s", "≤ 3 s");

    internal static async Task MeasureAsync(Round round)
    {
        if (round.IsWarmUp)
            return;
        var (data, log) = (round.Folder(), Path.Combine(round.Folder(), "log"));
        var reader = new StepLogReader(log);
        var server = Start(data, log, Runs);
        var kills = new List<Moments>();
        try
        {
            await WatchAsync(reader, Stopwatch.GetTimestamp());
            for (var i = 0; i < Kills; i++)
            {
                await Task.Delay(Calm);
                var killed = Stopwatch.GetTimestamp();
                await Children.EndAsync(server);
                server = Start(data, log, 0);
                kills.Add(await WatchAsync(reader, killed));
            }
        }
        finally
        {
            await Children.EndAsync(server);
        }

        double[] Each(Func<Moments, TimeSpan> part) => [.. kills.Select(kill => part(kill).TotalSeconds)];
        round.Add(First, Statistics.Median(Each(kill => kill.First)));
        round.Add(FirstWorst, Each(kill => kill.First).Max());
        round.Add(Restarted, Statistics.Median(Each(kill => kill.Main)));
        round.Add(Serving, Statistics.Median(Each(kill => kill.Serving)));
        round.Add(All, Statistics.Median(Each(kill => kill.All)));
        round.Add(AllWorst, Each(kill => kill.All).Max());
    }

    private static Process Start(string data, string log, int create)
    {
        string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
        var start = Children.Self([KillableHost.Verb, data, log, Text(create), Text(Steps), Text(ToolMs)]);
        start.RedirectStandardOutput = false;
        return Children.Start(start);
    }

    /// <summary>What the log says of the server that started after <paramref name="since"/>, until every run has moved.</summary>
    private static async Task<Moments> WatchAsync(StepLogReader reader, long since)
    {
        var moved = new HashSet<string>();
        var (main, serving, first) = (TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        while (Stopwatch.GetElapsedTime(since) < GiveUp)
        {
            foreach (var (what, at) in reader.ReadNew().Where(line => line.At >= since))
            {
                var after = Stopwatch.GetElapsedTime(since, at);
                if (what == StepLog.Begun)
                    main = after;
                else if (what == StepLog.Serving)
                    serving = after;
                else if (main > TimeSpan.Zero && moved.Add(what))
                {
                    first = moved.Count == 1 ? after : first;
                    if (moved.Count == Runs)
                        return new Moments(main, serving, first, after);
                }
            }

            await Task.Delay(LookEvery);
        }

        throw new InvalidOperationException($"{GiveUp.TotalSeconds} s after the start only {moved.Count} of {Runs} runs move");
    }

    private sealed record Moments(TimeSpan Main, TimeSpan Serving, TimeSpan First, TimeSpan All);
}
