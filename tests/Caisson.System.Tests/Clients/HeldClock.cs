namespace Caisson.System.Tests.Clients;

/// <summary>
/// The scripted provider's clock: an answer stands still at a point of its way until the test lets it go on. So "in the
/// middle of a stream" is a fact and not a matter of speed.
/// </summary>
internal sealed class HeldClock : TimeProvider
{
    /// <summary>Before a whole answer.</summary>
    internal static readonly TimeSpan Delay = TimeSpan.FromMinutes(2);

    /// <summary>Between two pieces of a stream.</summary>
    internal static readonly TimeSpan Pace = TimeSpan.FromMinutes(1);

    // So many pauses of a stream pass, and some of its pieces with them.
    private const int Passing = 2;

    private readonly Lock _lock = new();
    private readonly List<Action> _held = [];

    // Of the answer that is being sent: each has an asynchronous flow of its own.
    private readonly AsyncLocal<int> _pauses = new();
    private bool _isOpen;

    /// <summary>Answers that stand still.</summary>
    internal int Held
    {
        get
        {
            lock (_lock)
                return _held.Count;
        }
    }

    /// <summary>From here on answers stand still.</summary>
    internal void Close()
    {
        lock (_lock)
            _isOpen = false;
    }

    /// <summary>Whatever stands still goes on, and nothing stands still any more.</summary>
    internal void Open()
    {
        List<Action> held;
        lock (_lock)
        {
            _isOpen = true;
            held = [.. _held];
            _held.Clear();
        }

        held.ForEach(go => go());
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime != Delay && dueTime != Pace)
            return System.CreateTimer(callback, state, dueTime, period);
        var passes = dueTime == Pace && ++_pauses.Value <= Passing;
        lock (_lock)
        {
            if (!passes && !_isOpen)
            {
                var timer = System.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                _held.Add(() => timer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan));
                return timer;
            }
        }

        return System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
