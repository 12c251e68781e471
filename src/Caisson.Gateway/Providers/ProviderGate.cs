using Caisson.Contracts;

namespace Caisson.Gateway.Providers;

/// <summary>
/// The way to one provider, for all runs.
/// <para>
/// Problem: a provider that says "not before" to one call means all of them, and calls that go on knocking make it worse.
/// States of a call: in line → let in → through, or gone from the line. Invariants: nobody is let in while the provider's
/// pause lasts; runs take turns; of a call that is let in somebody leaves. Waiting costs nothing but the hold. When this
/// process dies the pause is forgotten, and the next call finds out anew.
/// </para>
/// </summary>
internal sealed class ProviderGate : IDisposable
{
    /// <summary>A provider may ask for a day. After five minutes somebody knocks again.</summary>
    public static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(5);

    private const int MostWaiting = 10_000;

    /// <summary>Who waits for longer shows it.</summary>
    private static readonly TimeSpan Moment = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly GateLine<Ticket> _line;
    private readonly ITimer _timer;

    public ProviderGate(int? maxConcurrent, int? requestsPerMinute, TimeProvider time)
    {
        _time = time;
        _line = new GateLine<Ticket>(maxConcurrent ?? int.MaxValue, requestsPerMinute is { } rate ? TimeSpan.FromMinutes(1) / rate : TimeSpan.Zero);
        _timer = time.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>When the present pause ends, or ended.</summary>
    public DateTimeOffset PausedUntil
    {
        get
        {
            lock (_lock)
                return _line.PausedUntil;
        }
    }

    public int Waiting
    {
        get
        {
            lock (_lock)
                return _line.Waiting;
        }
    }

    /// <summary>The provider asked for it.</summary>
    public void Pause(TimeSpan wait)
    {
        lock (_lock)
            _line.Pause(_time.GetUtcNow() + (wait > LongestPause ? LongestPause : wait));
        Look();
    }

    /// <param name="patience">After it the call is not let in any more; at once, where the pause is longer.</param>
    /// <param name="waits">Called when it takes longer than a moment, at once where that is known.</param>
    /// <returns>To be disposed of when the call is through; <c>null</c>: not let in.</returns>
    public async Task<IDisposable?> EnterAsync(RunId run, TimeSpan patience, Func<Task> waits, CancellationToken cancellationToken)
    {
        var ticket = new Ticket(this);
        var now = _time.GetUtcNow();
        var last = now + patience;
        bool isLong;
        lock (_lock)
        {
            isLong = _line.PausedUntil > now + Moment;
            if (_line.PausedUntil > last || _line.Waiting >= MostWaiting)
                return null;
            _line.Join(run, ticket);
        }

        Look();
        try
        {
            if (isLong || !await IsLetInAsync(ticket, patience < Moment ? patience : Moment, cancellationToken))
            {
                if (patience > Moment)
                    await waits();
                await IsLetInAsync(ticket, last - _time.GetUtcNow(), cancellationToken);
            }

            return GiveUp(run, ticket) ? null : ticket;
        }
        catch
        {
            if (!GiveUp(run, ticket))
                ticket.Dispose();
            throw;
        }
    }

    public void Dispose() => _timer.Dispose();

    private async Task<bool> IsLetInAsync(Ticket ticket, TimeSpan time, CancellationToken cancellationToken)
    {
        try
        {
            await ticket.LetIn.WaitAsync(time > TimeSpan.Zero ? time : TimeSpan.Zero, _time, cancellationToken);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <returns>Whether it was still in line.</returns>
    private bool GiveUp(RunId run, Ticket ticket)
    {
        lock (_lock)
        {
            if (ticket.LetIn.IsCompleted)
                return false;
            _line.GiveUp(run, ticket);
            return true;
        }
    }

    private void Leave()
    {
        lock (_lock)
            _line.Leave();
        Look();
    }

    /// <summary>Lets in who may go, and sets the clock for the next one.</summary>
    private void Look()
    {
        lock (_lock)
        {
            while (true)
            {
                switch (_line.Next(_time.GetUtcNow()))
                {
                    case GateStep<Ticket>.Admit(var ticket):
                        ticket.Open();
                        continue;
                    case GateStep<Ticket>.Later(var at):
                        var wait = at - _time.GetUtcNow();
                        _timer.Change(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
                        return;
                    default:
                        return;
                }
            }
        }
    }

    private sealed class Ticket(ProviderGate gate) : IDisposable
    {
        private readonly TaskCompletionSource _letIn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _isGone;

        public Task LetIn => _letIn.Task;

        public void Open() => _letIn.SetResult();

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isGone, 1) == 0)
                gate.Leave();
        }
    }
}
