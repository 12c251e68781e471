namespace Caisson.Simulation.Tests.Machine;

/// <summary>
/// One operating system process: a queue of tasks, timers, a clock. Dead, it does nothing any more, and nobody unwinds
/// it. Frozen, it does nothing for a while and does not know.
/// </summary>
internal sealed class SimProcess(SimLoop loop, string name, int number) : TaskScheduler
{
    private readonly List<Task> _queue = [];
    private ProcessClock? _clock;

    internal string Name => name;

    internal int Number => number;

    internal SimLoop Loop => loop;

    internal bool Dead { get; private set; }

    internal bool Frozen { get; set; }

    internal int Waiting => _queue.Count;

    internal ProcessClock Clock => _clock ??= new ProcessClock(this);

    public override int MaximumConcurrencyLevel => 1;

    internal void Kill()
    {
        Dead = true;
        _queue.Clear();
    }

    internal Task Run(Func<Task> work) => Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, this).Unwrap();

    internal void Run(Action work) => _ = Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, this);

    internal Task DelayAsync(TimeSpan time) => Task.Delay(time, Clock, CancellationToken.None);

    internal void RunOne(int place)
    {
        var task = _queue[place];
        _queue.RemoveAt(place);
        TryExecuteTask(task);
    }

    protected override void QueueTask(Task task)
    {
        // What the garbage collector finds of a dead process asks to go on as well.
        if (!Dead && loop.IsHere(name))
            _queue.Add(task);
    }

    // Never in the middle of something else: that the order may be any is the point.
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks() => _queue;
}

/// <summary>A process's view of time: the monotonic clock is everybody's, the wall clock may wander.</summary>
internal sealed class ProcessClock(SimProcess process) : TimeProvider
{
    internal TimeSpan Offset { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long GetTimestamp() => process.Loop.Now.Ticks;

    public override DateTimeOffset GetUtcNow() => SimLoop.Birth + process.Loop.Now + Offset;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new SimTimer(process, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }
}

internal sealed class SimTimer(SimProcess process, TimerCallback callback, object? state) : ITimer
{
    private TimeSpan _period = Timeout.InfiniteTimeSpan;
    private long _version;
    private bool _disposed;

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        if (_disposed || process.Dead || !process.Loop.IsHere("a timer"))
            return false;
        _version++;
        _period = period;
        if (dueTime != Timeout.InfiniteTimeSpan)
            process.Loop.Schedule(this, _version, process.Loop.Now + dueTime);
        return true;
    }

    internal bool IsDue(long version) => version == _version && !_disposed && !process.Dead;

    /// <summary>A callback is one more thing that the process has to do; a frozen one does it when it thaws.</summary>
    internal void Due()
    {
        if (_period > TimeSpan.Zero)
            process.Loop.Schedule(this, _version, process.Loop.Now + _period);
        var version = _version;
        process.Run(() =>
        {
            if (!_disposed && version == _version)
                callback(state);
        });
    }

    public void Dispose() => _disposed = true;

    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }
}
