namespace Caisson.Core.Turns;

/// <summary>A flag that one loop waits for. Set any number of times before it looks, it is seen once.</summary>
internal sealed class Wake
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
                return _set ? Task.CompletedTask : (_waiter ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    internal void Set()
    {
        TaskCompletionSource? waiter;
        lock (_lock)
        {
            _set = true;
            (waiter, _waiter) = (_waiter, null);
        }

        waiter?.SetResult();
    }

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
}
