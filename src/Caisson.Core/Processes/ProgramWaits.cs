using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Turns;

namespace Caisson.Core.Processes;

/// <summary>
/// What a program waits for: times, signals, ends of children. While nothing but the program itself is at work, its run
/// shows as waiting; its box goes on, since a program may do other things meanwhile.
/// </summary>
internal sealed class ProgramWaits(RunSession session, TimeProvider clock, ProcessRecords records, StepKey program)
{
    /// <summary>Of one run; hostile code must not fill the journal with them.</summary>
    internal const int MostTimers = 10_000;

    private const int MostOpen = 1_000;

    /// <summary>Timers hold seven weeks at most.</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(1);

    private readonly Lock _lock = new();
    private readonly List<Waiting> _open = [];

    internal static ProgramAnswer.Refused TooMany { get; } =
        new(new Failure(ErrorCodes.RequestInvalid, $"a run may set {MostTimers} timers and wait for {MostOpen} things at a time, and this one has: wait longer, and less often"));

    /// <summary>When it is over: as journaled, whatever this start would have it be. <c>null</c>: there are too many.</summary>
    internal async Task<DateTimeOffset?> SetAsync(StepKey key, string name, DateTimeOffset wanted)
    {
        DateTimeOffset? due = wanted;
        await session.WriteAsync(new Unit
        {
            Decide = () =>
            {
                due = session.History.TimerOf(key.Hash) ?? (session.History.Timers < MostTimers ? wanted : null);
                return due is null || session.History.TimerOf(key.Hash) is not null
                    ? new Unit()
                    : new Unit { Entries = [new EntryDraft(EntryKind.TimerSet, new EntryBody.TimerSet(name, wanted)) { Key = key.Hash }] };
            },
        }, session.Owned);
        return due;
    }

    /// <summary>Journals that the time has come, unless something else has answered meanwhile.</summary>
    internal Task FireAsync(StepKey key, Func<bool> answered) => session.WriteAsync(new Unit
    {
        Decide = () => answered() ? new Unit() : new Unit
        {
            Entries = [new EntryDraft(EntryKind.TimerFired, new EntryBody.TimerFired()) { Key = key.Hash }],
            Transition = RunSession.Proceed,
            Update = s => s with { Detail = null },
        },
    }, session.Owned);

    /// <returns>Whether it was answered; otherwise its time has come. <c>null</c>: too much is waited for already.</returns>
    internal async Task<bool?> UntilAsync(Waiting wait, Func<bool> answered, CancellationToken gone)
    {
        lock (_lock)
        {
            if (_open.Count >= MostOpen)
                return null;
            _open.Add(wait);
        }

        try
        {
            while (true)
            {
                var changed = records.Changed;
                if (answered())
                    return true;
                var left = wait.DueAt - clock.GetUtcNow();
                if (left <= TimeSpan.Zero)
                    return false;
                gone.ThrowIfCancellationRequested();
                await ShowAsync();
                await LookAgainAsync(changed, left is { } time && time < LongestTimer ? time : LongestTimer, gone);
            }
        }
        finally
        {
            lock (_lock)
                _open.Remove(wait);
        }
    }

    private async Task LookAgainAsync(Task changed, TimeSpan within, CancellationToken gone)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(gone);
        await Task.WhenAny(changed, Task.Delay(within, clock, over.Token));
        over.End();
    }

    /// <summary>Says that the run waits, where it does nothing else.</summary>
    private Task ShowAsync()
    {
        Waiting? all = null;
        lock (_lock)
        {
            foreach (var wait in _open)
            {
                all = all is null ? wait : new Waiting(
                    wait.Reason > all.Reason ? wait.Reason : all.Reason,
                    all.DueAt is { } due && !(wait.DueAt < due) ? due : wait.DueAt,
                    wait.Reason > all.Reason ? wait.Text : all.Text);
            }
        }

        return all is null || !session.IsOnly(program) ? Task.CompletedTask : session.JournalAsync([], all);
    }
}
