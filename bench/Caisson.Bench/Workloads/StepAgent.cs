using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Caisson.Bench.Probes;
using Caisson.Core.Agents;

namespace Caisson.Bench.Workloads;

/// <summary>As many steps as its input says, one after another; each returns 2 KiB that are durable before the next begins.</summary>
/// <param name="tool">How long each step's own work takes.</param>
internal sealed class StepAgent(TimeSpan tool = default) : IAgent
{
    private readonly ConcurrentQueue<double[]> _runs = [];

    /// <summary>Milliseconds of each step of the runs that ended, in order.</summary>
    internal IReadOnlyCollection<double[]> Runs => _runs;

    public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var result = Payload.Text(context.Run.GetHashCode());
        var times = new double[int.Parse(context.Input, CultureInfo.InvariantCulture)];
        for (var i = 0; i < times.Length; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await context.StepAsync("step", () => DoAsync(result));
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        _runs.Enqueue(times);
        return "done";
    }

    private async Task<string> DoAsync(string result)
    {
        if (tool > TimeSpan.Zero)
            await Task.Delay(tool);
        return result;
    }
}
