using System.Collections.Concurrent;
using System.Globalization;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Microsoft.Extensions.Logging;

namespace Caisson.Core.Schedules;

/// <summary>
/// Starts the runs of schedules that are due. It holds no state that matters: every decision is made anew from the
/// store and commits only if the schedule still stands where the decision found it. So several keepers may work on one
/// store, and one that dies between decision and commit has done nothing.
/// </summary>
public sealed class ScheduleKeeper(
    IScheduleStore store, IRunReader reader, NewRuns newRuns, RunSignals signals, TimeProvider clock, ILogger log, Func<bool> mayAct, TaskScheduler? scheduler = null) : IAsyncDisposable
{
    internal static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    // What refuses a run (a model without a price, no sandbox) mends itself slowly, and each look costs probes.
    internal static readonly TimeSpan HoldOff = TimeSpan.FromSeconds(10);

    private const int MovesPerLook = 100;
    private const int AtOnce = 16;

    private readonly ConcurrentDictionary<string, Trouble> _troubles = new();
    private readonly CancellationTokenSource _end = new();
    private readonly EngineTasks _tasks = new(scheduler ?? TaskScheduler.Default);
    private Task _loop = Task.CompletedTask;

    private sealed record Trouble(long Generation, DateTimeOffset? Nominal, Failure Failure, DateTimeOffset RetryAt);

    public void Start() => _loop = _tasks.Run(KeepAsync);

    /// <summary>Why a due time of this schedule starts no run here, or <c>null</c>.</summary>
    internal Failure? TroubleOf(ScheduleRecord record) =>
        _troubles.TryGetValue(record.Name, out var trouble) && trouble.Generation == record.Generation && trouble.Nominal == record.Next ? trouble.Failure : null;

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _loop;
    }

    /// <summary>Decides everything that is due.</summary>
    /// <returns>When to look again.</returns>
    internal async Task<DateTimeOffset> TickAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        // A little ahead, so that the next time is met when it comes and not at the next poll.
        var due = await store.FindDueSchedulesAsync(now + Poll, ScheduleBook.MaxSchedules, cancellationToken);
        var wakes = new DateTimeOffset[due.Count];
        await Parallel.ForAsync(0, due.Count, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, TaskScheduler = _tasks.Scheduler, CancellationToken = cancellationToken },
            async (i, token) => wakes[i] = await AdvanceAsync(due[i], now, token));
        return wakes.Append(now + Poll).Min();
    }

    private async Task KeepAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            var wake = clock.GetUtcNow() + Poll;
            try
            {
                if (mayAct())
                    wake = await TickAsync(clock.GetUtcNow(), _end.Token);

                // A clock that is set back while we sleep must not make the sleep longer.
                var pause = wake - clock.GetUtcNow();
                if (pause > TimeSpan.Zero)
                    await Task.Delay(pause < Poll ? pause : Poll, clock, _end.Token);
            }
            catch (OperationCanceledException) when (_end.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The cursors say what is left to do; a store that is really lost ends the process by itself.
                log.LogError(e, "the look for due schedules failed");
                await Task.WhenAny(Task.Delay(Poll, clock, _end.Token));
            }
        }
    }

    private async Task<DateTimeOffset> AdvanceAsync(ScheduleRecord record, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var later = now + Poll;
        if (_troubles.TryGetValue(record.Name, out var trouble) && trouble.Generation == record.Generation && trouble.RetryAt - now is var left && left > TimeSpan.Zero && left <= HoldOff)
            return later;
        var (definition, unreadable) = ScheduleDefinition.Read(record.Name, record.Definition);
        if (definition is null)
        {
            Report(record, unreadable!, now);
            return later;
        }

        for (var moves = 0; moves < MovesPerLook; moves++)
        {
            var previous = await PreviousAsync(definition, record, cancellationToken);
            switch (SchedulePlanner.Plan(definition, record, previous, now))
            {
                case SchedulePlan.Wait wait:
                    return wait.Until < later ? wait.Until : later;
                case SchedulePlan.Skip skip:
                    if (!await store.FireAsync(new ScheduleFire(record.Name, record.Generation, record.Next!.Value, skip.Next, null, []), cancellationToken))
                        return later;
                    Log(record, skip, previous);
                    record = record with { Next = skip.Next };
                    break;
                case SchedulePlan.Fire fire:
                    if (await FireAsync(definition, record, fire, now, cancellationToken) is not { } fired)
                        return later;
                    record = fired;
                    break;
                default:
                    return later;
            }
        }

        return now;
    }

    /// <summary>The schedule as it stands after the run was started, or <c>null</c> where none was.</summary>
    private async Task<ScheduleRecord?> FireAsync(ScheduleDefinition definition, ScheduleRecord record, SchedulePlan.Fire fire, DateTimeOffset now, CancellationToken cancellationToken)
    {
        NewRun run;
        try
        {
            switch (await newRuns.CheckAsync(definition.CommandAt(fire.Nominal, ScheduleKey.Of(record.Uid, record.Generation, fire.Nominal)), cancellationToken))
            {
                case CheckedRun.Valid valid when newRuns.Stopped(valid.Command.Tenant, valid.Manifest.Name) is { } stopped:
                    Report(record, stopped, now);
                    return null;
                case CheckedRun.Valid valid:
                    run = await newRuns.BuildAsync(valid, cancellationToken);
                    break;
                case CheckedRun.Refused refused:
                    Report(record, refused.Failure, now);
                    return null;
                default:
                    throw new InvalidOperationException("unreachable");
            }
        }
        catch (CaissonException e)
        {
            Report(record, e.ToFailure(), now);
            return null;
        }

        NewInput[] posts = fire.Cancel is { } old ? [CancelOf(old, definition, run)] : [];
        if (!await store.FireAsync(new ScheduleFire(record.Name, record.Generation, fire.Nominal, fire.Next, run, posts), cancellationToken))
            return null;
        _troubles.TryRemove(record.Name, out _);
        signals.Due(run.Id);
        foreach (var post in posts)
            signals.Due(post.Run);
        log.LogInformation("schedule {Schedule}: run {Run} started for {Nominal}", record.Name, run.Id, ScheduleKey.Text(fire.Nominal));
        return record with { Next = fire.Next, LastRun = run.Id, LastAt = fire.Nominal };
    }

    private static NewInput CancelOf(RunId old, ScheduleDefinition definition, NewRun replacement) => new(
        old, string.Create(CultureInfo.InvariantCulture, $"schedule:{replacement.IdempotencyKey}"), InputKind.Cancel,
        JournalJson.Write(new InputBody.Operator($"schedule {definition.Name}", $"run {replacement.Id} takes its place", null)));

    private async Task<PreviousRun?> PreviousAsync(ScheduleDefinition definition, ScheduleRecord record, CancellationToken cancellationToken)
    {
        if (definition.Overlap == OverlapPolicy.Allow || record.LastRun is not { } last || await reader.FindAsync(last, cancellationToken) is not { } run)
            return null;
        return new PreviousRun(last, run.Status.IsFinal() ? run.EndedAt ?? run.UpdatedAt : null);
    }

    /// <summary>Says it once for each time that it keeps from starting.</summary>
    private void Report(ScheduleRecord record, Failure failure, DateTimeOffset now)
    {
        var known = TroubleOf(record) == failure;
        _troubles[record.Name] = new Trouble(record.Generation, record.Next, failure, now + HoldOff);
        if (!known)
            log.LogWarning("schedule {Schedule}: no run for {Nominal}: {Code}: {Message}", record.Name, record.Next is { } nominal ? ScheduleKey.Text(nominal) : "-", failure.Code, failure.Message);
    }

    private void Log(ScheduleRecord record, SchedulePlan.Skip skip, PreviousRun? previous)
    {
        var count = skip.Count switch { 1 => "1 time", SchedulePlanner.MaxCounted => $"at least {skip.Count} times", _ => $"{skip.Count} times" };
        var why = skip.Reason switch
        {
            SkipReason.TooLate => "later than the catch-up window allows",
            SkipReason.Overlap => $"run {previous?.Run} of the time before has not ended",
            _ => "a later time waits instead",
        };
        log.Log(skip.Reason == SkipReason.TooLate ? LogLevel.Warning : LogLevel.Information,
            "schedule {Schedule}: {Count} passed over from {From} on: {Why}", record.Name, count, ScheduleKey.Text(skip.From), why);
    }
}
