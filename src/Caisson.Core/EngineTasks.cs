namespace Caisson.Core;

/// <summary>Where the engine's own work runs: the thread pool, or the one thread of a simulation.</summary>
internal sealed class EngineTasks(TaskScheduler scheduler)
{
    internal TaskScheduler Scheduler { get; } = scheduler;

    internal Task Run(Func<Task> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, Scheduler).Unwrap();

    /// <summary>A pause that a token ends early. The framework's own, when it is cancelled, goes on in the thread pool, whatever the scheduler.</summary>
    internal async Task DelayAsync(TimeSpan time, TimeProvider clock, CancellationToken cancellationToken)
    {
        using var over = new CancellationTokenSource();
        var cancelled = new TaskCompletionSource();
        await using var registration = cancellationToken.UnsafeRegister(_ => _ = Run(() =>
        {
            cancelled.SetResult();
            return Task.CompletedTask;
        }), null);
        await Task.WhenAny(cancelled.Task, Task.Delay(time, clock, over.Token));
        over.End();
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Cancels away from the caller: what listens to the token may be anybody's code, and may throw.</summary>
    internal Task CancelAsync(CancellationTokenSource source) => Run(() =>
    {
        try
        {
            source.Cancel();
        }
        catch (Exception problem) when (problem is AggregateException or ObjectDisposedException)
        {
            // Of an agent's listener, or of an ownership that ended meanwhile: the token is cancelled all the same.
        }

        return Task.CompletedTask;
    });
}

internal static class Cancellations
{
    /// <summary>Cancels here and now, for tokens that only our own waits listen to. The framework's asynchronous form would leave the engine's scheduler.</summary>
    internal static void End(this CancellationTokenSource source) => source.Cancel();
}
