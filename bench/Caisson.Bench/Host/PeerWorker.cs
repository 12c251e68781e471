using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Caisson.Bench.Measuring;
using Caisson.Bench.Probes;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Caisson.Bench.Host;

/// <summary>
/// <c>worker DATA</c>: Caisson as a peer among peers, in a process of its own. Each line <c>run RUNS STEPS TOOL_MS</c> on
/// standard input is answered with <c>SECONDS P50 P99</c>: from the first run's creation to the last one's end, and the
/// milliseconds between the beginnings of two steps of a run.
/// </summary>
internal sealed class PeerWorker
{
    internal const string Verb = "worker";
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(1);

    private readonly ConcurrentBag<double> _gaps = [];
    private TaskCompletionSource _worked = new();
    private int _open;
    private TimeSpan _tool;
    private int _steps;

    internal static async Task<int> ServeAsync(string data)
    {
        var worker = new PeerWorker();
        await using var app = HostApplication.Build(data, worker.RunAsync);
        await app.StartAsync();
        Console.WriteLine("ready");
        while (await Console.In.ReadLineAsync() is { } line)
        {
            if (line.Split(' ') is not ["run", var runs, var steps, var tool])
                throw new InvalidOperationException($"not understood: {line}");
            int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
            var wall = await worker.MeasureAsync(app.Services.GetRequiredService<Runs>(), Number(runs), Number(steps), TimeSpan.FromMilliseconds(Number(tool)));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{wall.TotalSeconds:0.0000} {Statistics.Median(worker._gaps):0.0000} {Statistics.Percentile(worker._gaps, 0.99):0.0000}"));
        }

        await app.StopAsync();
        return 0;
    }

    private async Task<TimeSpan> MeasureAsync(Runs runs, int count, int steps, TimeSpan tool)
    {
        var worked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        (_worked, _open, _steps, _tool) = (worked, count, steps, tool);
        _gaps.Clear();
        var start = Stopwatch.GetTimestamp();
        await runs.CreateAsync(count, steps);
        await worked.Task;
        while ((await runs.ListAsync(new RunFilter([RunStatus.Ready, RunStatus.Running, RunStatus.Waiting], null, null, 1), default)).Count > 0)
            await Task.Delay(LookEvery);
        return Stopwatch.GetElapsedTime(start);
    }

    private async Task<string> RunAsync(IRunContext context)
    {
        var result = Payload.Text(context.Run.GetHashCode());
        var last = 0L;
        for (var i = 0; i < _steps; i++)
        {
            await context.StepAsync("step", async () =>
            {
                var now = Stopwatch.GetTimestamp();
                if (last != 0)
                    _gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
                last = now;
                if (_tool > TimeSpan.Zero)
                    await Task.Delay(_tool);
                return result;
            });
        }

        if (Interlocked.Decrement(ref _open) == 0)
            _worked.SetResult();
        return "done";
    }
}
