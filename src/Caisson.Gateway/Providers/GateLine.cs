using Caisson.Contracts;

namespace Caisson.Gateway.Providers;

/// <summary>What a line of calls says when it is asked.</summary>
internal abstract record GateStep<T>
{
    /// <summary>This one goes now.</summary>
    public sealed record Admit(T Ticket) : GateStep<T>;

    /// <summary>Nobody before this time.</summary>
    public sealed record Later(DateTimeOffset At) : GateStep<T>;

    /// <summary>Nobody, until somebody comes or leaves.</summary>
    public sealed record Idle : GateStep<T>;
}

/// <summary>
/// Who may call a provider next. Calls stand in a line for each run, and the runs take turns: one with a hundred calls
/// does not keep another's only one waiting. Reads no clock and starts nothing.
/// </summary>
/// <param name="mostOpen">Calls under way at once.</param>
/// <param name="spacing">From the start of a call to that of the next one.</param>
internal sealed class GateLine<T>(int mostOpen, TimeSpan spacing)
    where T : class
{
    /// <summary>After a pause, until the line is empty: those who waited must not all come in one instant.</summary>
    public static readonly TimeSpan Ease = TimeSpan.FromMilliseconds(200);

    private readonly Queue<RunId> _turns = [];
    private readonly Dictionary<RunId, LinkedList<T>> _lines = [];
    private DateTimeOffset _next = DateTimeOffset.MinValue;
    private bool _eases;
    private int _open;

    public int Waiting { get; private set; }

    /// <summary>Nobody is let in before this time.</summary>
    public DateTimeOffset PausedUntil { get; private set; } = DateTimeOffset.MinValue;

    public void Join(RunId run, T ticket)
    {
        if (!_lines.TryGetValue(run, out var line))
        {
            _lines[run] = line = [];
            _turns.Enqueue(run);
        }

        line.AddLast(ticket);
        Waiting++;
    }

    /// <summary>Leaves the line without having been let in.</summary>
    public void GiveUp(RunId run, T ticket)
    {
        // The run keeps its turn, which then finds nobody.
        if (_lines.TryGetValue(run, out var line) && line.Remove(ticket))
            Waiting--;
    }

    /// <summary>One that was let in is through.</summary>
    public void Leave() => _open--;

    /// <summary>Of several pauses the one that ends last holds.</summary>
    public void Pause(DateTimeOffset until)
    {
        _eases = true;
        if (until > PausedUntil)
            PausedUntil = until;
    }

    public GateStep<T> Next(DateTimeOffset now)
    {
        if (Waiting == 0)
        {
            _eases &= now < PausedUntil;
            return new GateStep<T>.Idle();
        }

        if (_open >= mostOpen)
            return new GateStep<T>.Idle();
        var at = PausedUntil > _next ? PausedUntil : _next;
        if (now < at)
            return new GateStep<T>.Later(at);
        _open++;
        _next = now + (_eases && spacing < Ease ? Ease : spacing);
        return new GateStep<T>.Admit(Take());
    }

    private T Take()
    {
        while (true)
        {
            var run = _turns.Dequeue();
            var line = _lines[run];
            var first = line.First;
            if (first is not null)
                line.RemoveFirst();
            if (line.Count > 0)
                _turns.Enqueue(run);
            else
                _lines.Remove(run);
            if (first is null)
                continue;
            Waiting--;
            return first.Value;
        }
    }
}
