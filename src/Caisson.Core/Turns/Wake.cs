namespace Caisson.Core.Turns;

/// <summary>A flag that one loop waits for. Set any number of times before it looks, it is seen once.</summary>
internal sealed class Wake(EngineTasks tasks)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiter;
    private bool _set;

    internal bool IsSet
    {
        get
        {
            lock (_lock)
                return _set;
        }
    }

    /// <summary>Completes as soon as the flag is set; does not take it.</summary>
    internal Task Next
    {
        get
        {
            lock (_lock)
                return _set ? Task.CompletedTask : (_waiter ??= new TaskCompletionSource()).Task;
        }
    }

    /// <summary>For callers that have something else to do: the loop goes on elsewhere.</summary>
    internal void Set()
    {
        if (Mark() is { } waiter)
            _ = tasks.Run(() => Release(waiter));
    }

    /// <summary>For a caller that is at its end and holds no lock: the loop may go on here and now, without a hand-over.</summary>
    internal void SetHere() => Mark()?.SetResult();

    /// <summary>Whether it was set; clears it.</summary>
    internal bool Take()
    {
        lock (_lock)
        {
            var set = _set;
            _set = false;
            return set;
        }
    }

    private TaskCompletionSource? Mark()
    {
        lock (_lock)
        {
            _set = true;
            var waiter = _waiter;
            _waiter = null;
            return waiter;
        }
    }

    private static Task Release(TaskCompletionSource waiter)
    {
        waiter.SetResult();
        return Task.CompletedTask;
    }
}
