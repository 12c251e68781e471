using System.Collections.Concurrent;
using Caisson.Contracts;
using Caisson.Core.Turns;

namespace Caisson.Core.Lifecycle;

/// <summary>
/// Hints between the parts of one process: a run is due, a run's journal has grown. Any of them may be lost; the sweep
/// and the readers' polls find out by themselves.
/// </summary>
/// <param name="scheduler">Where whoever waits for a hint goes on: the engine's own. Default: the thread pool.</param>
public sealed class RunSignals(TaskScheduler? scheduler = null)
{
    private const int Capacity = 100_000;

    // No channel: what waits for one goes on in the thread pool, whatever the scheduler.
    private readonly ConcurrentQueue<RunId> _due = new();
    private readonly Wake _anyDue = new(new EngineTasks(scheduler ?? TaskScheduler.Default));

    private readonly ConcurrentDictionary<RunId, TaskCompletionSource> _watchers = new();

    private readonly ConcurrentDictionary<RunId, Func<string?>> _steps = new();

    /// <summary>Set by the engine of this process: takes up the caps of a budget node that stands above runs.</summary>
    internal Func<string, Task>? CapsSet { get; set; }

    /// <summary>Completes as soon as a run is due.</summary>
    internal Task AnyDue => _anyDue.Next;

    /// <summary>What has come due since the last call; one reader.</summary>
    internal IEnumerable<RunId> TakeDue()
    {
        _anyDue.Take();
        while (_due.TryDequeue(out var run))
            yield return run;
    }

    /// <summary>The run can be claimed, or has an input for its owner.</summary>
    public void Due(RunId run)
    {
        if (_due.Count < Capacity)
            _due.Enqueue(run);
        _anyDue.Set();
    }

    /// <summary>Whoever waits for a due run looks around.</summary>
    internal void Look() => _anyDue.Set();

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
