namespace Caisson.Simulation.Tests.Machine;

/// <summary>Why a seed is bad.</summary>
/// <param name="Invariant">As ENGINE.md names it, or a word for what no number stands for.</param>
internal sealed record Violation(string Invariant, string Text, TimeSpan At, long Step);

/// <summary>
/// The one thread on which everything happens. Whatever any process has to do next is a task in its queue; which one
/// runs, and when the time moves on to the next timer, is drawn from the seed. So a seed is one order of events, and the
/// same seed is the same order.
/// <para>
/// It holds only as long as nobody leaves the thread: a wait of the framework that goes on somewhere else is reported
/// like a broken invariant, with the place that it came back from.
/// </para>
/// </summary>
internal sealed class SimLoop
{
    internal static readonly DateTimeOffset Birth = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private const int LongestStory = 200;

    private readonly List<SimProcess> _processes = [];
    private readonly PriorityQueue<(SimTimer Timer, long Version), (long Due, long Order)> _timers = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly SimRandom _random;
    private readonly int _inOrder;
    private readonly int _timeFirst;
    private long _order;
    private int _born;

    internal SimLoop(ulong seed)
    {
        _random = new SimRandom(seed);

        // Each seed has its own temper: how often the oldest task of a process is next, how often time goes first.
        _inOrder = _random.Pick([0, 300, 800, 1000]);
        _timeFirst = _random.Pick([0, 0, 1, 5]);
    }

    internal TimeSpan Now { get; private set; }

    internal long Steps { get; private set; }

    /// <summary>Hash over everything that happened: equal traces are equal histories.</summary>
    internal ulong Trace { get; private set; } = 14695981039346656037;

    internal Violation? Violation { get; private set; }

    /// <summary>What happened last, for whoever looks at one seed; <c>null</c> where nobody does.</summary>
    internal Queue<string>? Story { get; init; }

    internal void Tell(FormattableString what)
    {
        if (Story is not { } story)
            return;
        story.Enqueue(FormattableString.Invariant($"{Now:g} {Steps} {FormattableString.Invariant(what)}"));
        if (story.Count > LongestStory)
            story.Dequeue();
    }

    internal SimProcess NewProcess(string name)
    {
        var process = new SimProcess(this, name, _born++);
        _processes.Add(process);
        return process;
    }

    /// <summary>The first one counts: what follows from it is no news.</summary>
    internal void Fail(string invariant, string text)
    {
        lock (_timers)
            Violation ??= new Violation(invariant, text, Now, Steps);
    }

    internal void Note(ulong what)
    {
        Trace = (Trace ^ what) * 1099511628211;
        Trace ^= Trace >> 29;
    }

    internal void Note(string what)
    {
        foreach (var c in what)
            Trace = (Trace ^ c) * 1099511628211;
    }

    /// <summary>Whether a call comes from the simulation's thread. Any other is a way out of the seed's hands.</summary>
    internal bool IsHere(string what)
    {
        if (Environment.CurrentManagedThreadId == _thread)
            return true;
        Fail("determinism", $"{what} left the simulation's thread and came back by {Environment.StackTrace.ReplaceLineEndings(" ")}");
        return false;
    }

    /// <summary>Runs until the work is done, an invariant is broken, or more was done than any seed needs.</summary>
    internal void Run(Task work, long mostSteps)
    {
        while (!work.IsCompleted && Violation is null)
        {
            if (Steps >= mostSteps)
                Fail("I5", $"no end within {mostSteps} steps");
            else if (!Step())
                Fail("I5", "nothing is left to happen, and the simulation has not come to its end");
        }

        if (work.IsFaulted)
            Fail("simulation", work.Exception.InnerException!.ToString().ReplaceLineEndings(" "));
    }

    internal void Schedule(SimTimer timer, long version, TimeSpan due) => _timers.Enqueue((timer, version), (due.Ticks, _order++));

    private bool Step()
    {
        Steps++;
        var runnable = 0;
        for (var i = _processes.Count - 1; i >= 0; i--)
        {
            if (_processes[i].Dead)
                _processes.RemoveAt(i);
            else if (!_processes[i].Frozen)
                runnable += _processes[i].Waiting;
        }

        if (runnable == 0 || (_timeFirst > 0 && _timers.Count > 0 && _random.Chance(_timeFirst)))
            return Advance() || runnable > 0;
        var chosen = _random.Below(runnable);
        foreach (var process in _processes)
        {
            if (process.Frozen)
                continue;
            if (chosen < process.Waiting)
            {
                var place = _random.Chance(_inOrder) ? 0 : chosen;
                Note(((ulong)process.Number << 40) | (uint)place);
                process.RunOne(place);
                return true;
            }

            chosen -= process.Waiting;
        }

        throw new InvalidOperationException("unreachable");
    }

    /// <summary>The time of the next timer comes. What it does is queued like any other work.</summary>
    private bool Advance()
    {
        while (_timers.TryDequeue(out var next, out var at))
        {
            if (!next.Timer.IsDue(next.Version))
                continue;
            if (at.Due > Now.Ticks)
                Now = TimeSpan.FromTicks(at.Due);
            Note((ulong)Now.Ticks);
            next.Timer.Due();
            return true;
        }

        return false;
    }
}
