namespace Caisson.Core.Turns;

/// <summary>
/// Where an agent's code runs: nowhere by itself. What the code has to do next is queued, and the turn runs it to the
/// end with <see cref="Pump"/> on its own thread. So the code is never at two places at once, and when the pump comes
/// back the code waits for an answer, and for nothing else.
/// </summary>
internal sealed class AgentScheduler(Action foreign) : TaskScheduler
{
    private readonly Queue<Task> _queue = new();
    private readonly Lock _lock = new();
    private bool _pumping;
    private bool _closed;

    [ThreadStatic]
    private static AgentScheduler? s_current;

    /// <summary>Runs what is queued until nothing is left.</summary>
    internal void Pump()
    {
        var outer = s_current;
        s_current = this;
        try
        {
            while (true)
            {
                Task task;
                lock (_lock)
                {
                    _pumping = _queue.Count > 0 && !_closed;
                    if (!_pumping)
                        return;
                    task = _queue.Dequeue();
                }

                TryExecuteTask(task);
            }
        }
        finally
        {
            s_current = outer;
        }
    }

    /// <summary>The turn is over: what the code would do next is dropped, and the code with it.</summary>
    internal void Close()
    {
        lock (_lock)
        {
            _closed = true;
            _queue.Clear();
        }
    }

    protected override void QueueTask(Task task)
    {
        bool wake;
        lock (_lock)
        {
            if (_closed)
                return;
            _queue.Enqueue(task);
            wake = !_pumping;
        }

        // Somebody else's answer (the agent awaited what it should not): the turn has to look.
        if (wake)
            foreign();
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && s_current == this && TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_lock)
            return [.. _queue];
    }
}
