using System.Diagnostics;
using System.Globalization;
using Caisson.Core;

namespace Caisson.Bench;

/// <summary>
/// SIGKILL of a process with 500 runs at work, and another one at once, as the supervisor does it. Each step leaves a line
/// when it executes, so the first line of the new process is the first step after the crash.
/// </summary>
internal static class Recovery
{
    private const int Runs = 500;
    private const int Steps = 100;
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(20);

    internal static async Task MeasureAsync(string folder, Figures figures)
    {
        var (data, log) = (Path.Combine(folder, "data"), Path.Combine(folder, "steps"));
        using var first = Start(data, log);
        await UntilAsync(log, lines => lines.Length > Runs * 4);
        first.Kill();
        var killed = Environment.TickCount64;
        await first.WaitForExitAsync();
        using var second = Start(data, log);
        try
        {
            var mine = (string[] line) => int.Parse(line[3], CultureInfo.InvariantCulture) == second.Id;
            var after = (await UntilAsync(log, lines => lines.Where(mine).Select(line => line[0]).Distinct().Count() == Runs)).Where(mine).ToList();
            var times = after.GroupBy(line => line[0]).Select(run => run.Min(line => double.Parse(line[2], CultureInfo.InvariantCulture)) - killed).Order().ToArray();
            figures.Add("SIGKILL with 500 runs at work → the first step", times[0], "0 ms", "≤ 1,000 ms");
            figures.Add("… → all 500 at work again", times[^1], "0 ms", "≤ 3,000 ms");
        }
        finally
        {
            second.Kill();
            await second.WaitForExitAsync();
        }
    }

    /// <summary>The process that is killed: goes on with what it finds, or begins.</summary>
    internal static async Task ServeAsync(string data, string log)
    {
        // Appended whole by the kernel, line by line, also when the process dies at once after it.
        using var lines = new FileStream(log, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        var work = new Work(Runs, Steps, s_pause)
        {
            Executes = (run, step) =>
            {
                var line = System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{run} {step} {Environment.TickCount64} {Environment.ProcessId}\n"));
                lock (lines)
                    lines.Write(line);
            },
        };
        var begins = !Directory.Exists(data);
        await using var world = new World(data, work);
        if (begins)
            await world.CreateAsync(Runs);
        await world.Engine.StartAsync(default);
        await work.Ended;
    }

    private static Process Start(string data, string log) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["serve", data, log])) ?? throw new InvalidOperationException("the process to be killed did not start");

    private static async Task<string[][]> UntilAsync(string log, Func<string[][], bool> enough)
    {
        var patience = Stopwatch.StartNew();
        while (patience.Elapsed < TimeSpan.FromMinutes(1))
        {
            if (File.Exists(log))
            {
                using var file = new StreamReader(new FileStream(log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
                var lines = (await file.ReadToEndAsync()).Split('\n').Select(line => line.Split(' ')).Where(line => line.Length == 4).ToArray();
                if (enough(lines))
                    return lines;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }

        throw new InvalidOperationException("within a minute the runs did not get there");
    }
}
