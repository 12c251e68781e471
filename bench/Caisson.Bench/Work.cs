using System.Collections.Concurrent;
using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core.Agents;

namespace Caisson.Bench;

/// <summary>What every run here does: steps one after another, each with a result of 2 KiB that is durable before the next begins.</summary>
/// <param name="pause">How long the tool of each step takes.</param>
/// <param name="waits">Whether it waits for a signal in the end.</param>
internal sealed class Work(int runs, int steps, TimeSpan pause, bool waits = false) : IAgent
{
    internal const string Signal = "go";

    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _moved = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<RunId, bool> _begun = new();
    private int _done;
    private int _executed;

    /// <summary>Milliseconds from the call of each step to its answer.</summary>
    internal ConcurrentQueue<double> Latencies { get; } = new();

    internal Task Ended => _ended.Task;

    /// <summary>Completes when every run has executed a step in this process.</summary>
    internal Task AllMoved => _moved.Task;

    internal int Executed => _executed;

    /// <summary>From the agent's first line to where it has its signal.</summary>
    internal TimeSpan Replayed { get; private set; }

    /// <summary>Told of each step that executes.</summary>
    internal Action<RunId, int>? Executes { get; init; }

    public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var first = Stopwatch.GetTimestamp();
        for (var i = 0; i < steps; i++)
        {
            var nth = i;
            var start = Stopwatch.GetTimestamp();
            await context.StepAsync("step", async _ =>
            {
                Count(context.Run, nth);
                if (pause > TimeSpan.Zero)
                    await Task.Delay(pause, TimeProvider.System, CancellationToken.None);
                return Noise.Result;
            });
            Latencies.Enqueue(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        if (waits)
            await context.WaitForSignalAsync(Signal);
        Replayed = Stopwatch.GetElapsedTime(first);
        if (Interlocked.Increment(ref _done) == runs)
            _ended.TrySetResult();
        return "done";
    }

    private void Count(RunId run, int step)
    {
        Executes?.Invoke(run, step);
        Interlocked.Increment(ref _executed);
        if (_begun.TryAdd(run, true) && _begun.Count == runs)
            _moved.TrySetResult();
    }
}
