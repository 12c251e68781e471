using System.Collections.Concurrent;
using System.Diagnostics;
using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Bench.Workloads;

/// <summary>Passes everything on, and notes when a run was claimed and when the end of so many runs was durable.</summary>
internal sealed class ObservedStore(IRunStore inner) : IRunStore
{
    private TaskCompletionSource _allEnded = new();
    private int _toEnd;

    /// <summary>Timestamps of the moments before the claims.</summary>
    internal ConcurrentDictionary<RunId, long> ClaimedAt { get; } = new();

    /// <summary>Completes when so many runs have ended from now on.</summary>
    internal Task WhenEnded(int runs)
    {
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        (_allEnded, _toEnd) = (all, runs);
        return all.Task;
    }

    public Task<CreateOutcome> CreateAsync(NewRun run, CancellationToken cancellationToken) => inner.CreateAsync(run, cancellationToken);

    public Task<ClaimOutcome> ClaimAsync(RunId run, NodeId node, CancellationToken cancellationToken)
    {
        ClaimedAt[run] = Stopwatch.GetTimestamp();
        return inner.ClaimAsync(run, node, cancellationToken);
    }

    // What is measured goes through here, so that a step's append costs nothing more.
    public Task<AppendOutcome> AppendAsync(ChangeSet unit, CancellationToken cancellationToken) =>
        unit.State.Status.IsFinal() ? AppendLastAsync(unit, cancellationToken) : inner.AppendAsync(unit, cancellationToken);

    public Task<PostOutcome> PostAsync(NewInput input, CancellationToken cancellationToken) => inner.PostAsync(input, cancellationToken);

    private async Task<AppendOutcome> AppendLastAsync(ChangeSet unit, CancellationToken cancellationToken)
    {
        var outcome = await inner.AppendAsync(unit, cancellationToken);
        if (Interlocked.Decrement(ref _toEnd) == 0)
            _allEnded.TrySetResult();
        return outcome;
    }
}
