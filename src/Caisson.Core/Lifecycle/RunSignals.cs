using System.Collections.Concurrent;
using System.Threading.Channels;
using Caisson.Contracts;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Hints between the parts of one process: a run is due, a run's journal has grown. Any of them may be lost; the sweep
/// and the readers' polls find out by themselves.
/// </summary>
public sealed class RunSignals
{
    private const int Capacity = 100_000;

    private readonly Channel<RunId> _due = Channel.CreateBounded<RunId>(
        new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    private readonly ConcurrentDictionary<RunId, TaskCompletionSource> _watchers = new();

    private readonly ConcurrentDictionary<RunId, Func<string?>> _steps = new();

    internal ChannelReader<RunId> DueRuns => _due.Reader;

    /// <summary>The run can be claimed, or has an input for its owner.</summary>
    public void Due(RunId run) => _due.Writer.TryWrite(run);

    internal void Changed(RunId run)
    {
        if (_watchers.TryRemove(run, out var watcher))
            watcher.TrySetResult();
    }

    /// <summary>What a run does right now, if this process drives it; never stored, so it costs no write.</summary>
    internal string? CurrentStep(RunId run) => _steps.GetValueOrDefault(run)?.Invoke();

    /// <param name="step">Asked whenever somebody looks.</param>
    internal void ShowSteps(RunId run, Func<string?> step) => _steps[run] = step;

    /// <summary>Only what this caller has shown: the next owner's may be in its place already.</summary>
    internal void HideSteps(RunId run, Func<string?> step) => _steps.TryRemove(new KeyValuePair<RunId, Func<string?>>(run, step));

    /// <summary>Completes at the next change after this call.</summary>
    internal Task WhenChanged(RunId run) =>
        _watchers.GetOrAdd(run, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
}
