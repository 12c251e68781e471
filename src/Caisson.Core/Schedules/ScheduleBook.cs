using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Core.Schedules;

/// <summary>Everything that people and programs may ask of schedules.</summary>
public sealed class ScheduleBook(
    IScheduleStore store, IRunStore runs, IRunReader reader, NewRuns newRuns, ScheduleKeeper keeper, RunSignals signals, TimeProvider clock, IIdSource ids)
{
    /// <summary>Of one server: each look for what is due reads all that wait.</summary>
    public const int MaxSchedules = 1_000;

    private const int ShownTimes = 5;
    private const int Attempts = 20;

    /// <summary>Creates a schedule, or replaces it under a new generation. What is the same already stays as it is.</summary>
    public async Task<ScheduleOutcome> PutAsync(string name, ScheduleSpec spec, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        var (definition, failure) = ScheduleDefinition.Read(name, spec with { Paused = null });
        if (definition is null)
            return new ScheduleOutcome.Refused(failure!);
        var outcome = await newRuns.CheckAsync(definition.CommandAt(now, null), cancellationToken);
        if (outcome is not CheckedRun.Valid run)
            return new ScheduleOutcome.Refused(((CheckedRun.Refused)outcome).Failure);
        var stored = ScheduleDefinition.Write(new StoredSchedule(definition.Spec, run.Manifest.Name));
        return await ChangeAsync(name, found =>
        {
            var paused = spec.Paused ?? found?.Paused ?? false;
            if (found is not null && found.Paused == paused && found.Definition.Span.SequenceEqual(stored))
                return new Change.None();
            var next = NextOf(definition, found, now);
            if (next is null)
                return new Change.Refuse(new Failure(ErrorCodes.ScheduleInvalid, $"schedule '{name}': no time is left between start and end: give a later end, or remove the schedule"));
            return new Change.Put(new NewSchedule(name, found?.Uid ?? ids.NextRandom(), stored, now, next, paused));
        }, cancellationToken);
    }

    /// <summary>Times that pass while a schedule is paused start nothing, then or later.</summary>
    public Task<ScheduleOutcome> PauseAsync(string name, CancellationToken cancellationToken) => SetPausedAsync(name, true, cancellationToken);

    public Task<ScheduleOutcome> ResumeAsync(string name, CancellationToken cancellationToken) => SetPausedAsync(name, false, cancellationToken);

    /// <summary>Its runs go on.</summary>
    public Task<bool> RemoveAsync(string name, CancellationToken cancellationToken) => store.RemoveScheduleAsync(name, cancellationToken);

    public async Task<IReadOnlyList<ScheduleView>> ListAsync(CancellationToken cancellationToken) =>
        [.. (await store.ListSchedulesAsync(cancellationToken)).OrderBy(record => record.Name, StringComparer.Ordinal).Select(record => Show(record, 1))];

    /// <summary>With what it was put as, its next times, and what keeps it from starting a run now.</summary>
    public async Task<ScheduleView?> FindAsync(string name, CancellationToken cancellationToken) =>
        await FindRecordAsync(name, cancellationToken) is { } record ? await ShowWholeAsync(record, cancellationToken) : null;

    /// <summary>Starts a run now, whatever the cursor, the pause or the overlap policy say; none of them is touched by it.</summary>
    /// <returns><c>null</c> where there is no such schedule.</returns>
    public async Task<CreateRunOutcome?> TriggerAsync(string name, string? idempotencyKey, CancellationToken cancellationToken)
    {
        if (await FindRecordAsync(name, cancellationToken) is not { } record)
            return null;
        var (definition, failure) = ScheduleDefinition.Read(name, record.Definition);
        if (definition is null)
            return new CreateRunOutcome.Refused(failure!);
        var outcome = await newRuns.CheckAsync(definition.CommandAt(clock.GetUtcNow(), idempotencyKey), cancellationToken);
        if (outcome is not CheckedRun.Valid valid)
            return new CreateRunOutcome.Refused(((CheckedRun.Refused)outcome).Failure);
        if (newRuns.Stopped(valid.Command.Tenant, valid.Manifest.Name) is { } stopped)
            return new CreateRunOutcome.Refused(stopped);

        // The time in its labels differs from call to call; the same request is the same key for the same definition.
        var run = await newRuns.BuildAsync(valid, cancellationToken) with
        {
            IdempotencyKey = idempotencyKey is null ? null : StepHash.Of("schedule_trigger", record.Uid.ToString("N"), idempotencyKey),
            RequestHash = StepHash.Of("schedule_trigger", Convert.ToHexStringLower(SHA256.HashData(record.Definition.Span))),
        };
        switch (await runs.CreateAsync(run, cancellationToken))
        {
            case CreateOutcome.Created:
                signals.Due(run.Id);
                return new CreateRunOutcome.Accepted(run.Id, Existing: false);
            case CreateOutcome.Existing existing:
                return new CreateRunOutcome.Accepted(existing.Run, Existing: true);
            case CreateOutcome.KeyMismatch mismatch:
                return new CreateRunOutcome.Refused(new Failure(ErrorCodes.IdempotencyMismatch, $"the idempotency key belongs to run {mismatch.Run}, which schedule '{name}' started before it was changed: use a new key"));
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private Task<ScheduleOutcome> SetPausedAsync(string name, bool paused, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        return ChangeAsync(name, found =>
        {
            if (found is null)
                return new Change.Missing();
            if (found.Paused == paused)
                return new Change.None();
            var (definition, failure) = ScheduleDefinition.Read(name, found.Definition);
            if (definition is null)
                return new Change.Refuse(failure!);
            return new Change.Put(new NewSchedule(name, found.Uid, found.Definition, now, paused ? found.Next : NextOf(definition, found, now), paused));
        }, cancellationToken);
    }

    /// <summary>
    /// Where the cursor of a changed schedule stands. While its times stay the same it stays where it is, so that a time
    /// that waits for its jitter or behind a run is not lost; after a pause, and with other times, it begins from now.
    /// A time that has started a run never comes again, also under a clock that was set back.
    /// </summary>
    private static DateTimeOffset? NextOf(ScheduleDefinition definition, ScheduleRecord? found, DateTimeOffset now)
    {
        if (found?.Next is { } cursor && (cursor > now || !found.Paused)
            && ScheduleDefinition.Read(found.Name, found.Definition).Definition is { } before && before.Times.Equals(definition.Times))
            return cursor;
        return definition.Times.After(found?.LastAt > now ? found.LastAt.Value : now);
    }

    private async Task<ScheduleOutcome> ChangeAsync(string name, Func<ScheduleRecord?, Change> change, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var all = await store.ListSchedulesAsync(cancellationToken);
            var found = all.FirstOrDefault(record => record.Name == name);
            switch (change(found))
            {
                case Change.Missing:
                    return new ScheduleOutcome.NotFound();
                case Change.Refuse refuse:
                    return new ScheduleOutcome.Refused(refuse.Failure);
                case Change.None:
                    return new ScheduleOutcome.Done(await ShowWholeAsync(found!, cancellationToken), Created: false);
                case Change.Put when found is null && all.Count >= MaxSchedules:
                    return new ScheduleOutcome.Refused(new Failure(ErrorCodes.ScheduleInvalid, $"schedule '{name}': there are {all.Count} schedules already, and at most {MaxSchedules} are allowed: remove one"));
                case Change.Put put:
                    // A time may fire between our look and our write; then the schedule is looked at anew.
                    if (await store.PutScheduleAsync(put.Schedule with { Stands = new ScheduleStand(found?.Generation ?? 0, found?.Next) }, cancellationToken) is { } changed)
                        return new ScheduleOutcome.Done(await ShowWholeAsync(changed, cancellationToken), Created: found is null);
                    break;
            }
        }

        throw new CaissonException(ErrorCodes.Internal, $"schedule '{name}' moved {Attempts} times while it was being changed: try again", isTransient: true);
    }

    private async Task<ScheduleRecord?> FindRecordAsync(string name, CancellationToken cancellationToken) =>
        (await store.ListSchedulesAsync(cancellationToken)).FirstOrDefault(record => record.Name == name);

    private async Task<ScheduleView> ShowWholeAsync(ScheduleRecord record, CancellationToken cancellationToken)
    {
        var view = Show(record, ShownTimes) with { Spec = ScheduleDefinition.Read(record.Name, record.Definition).Definition?.Spec };
        if (view.Detail is not null || view.Overlap is OverlapPolicy.Allow or OverlapPolicy.CancelOld || record.LastRun is not { } last
            || await reader.FindAsync(last, cancellationToken) is not { } run || run.Status.IsFinal())
            return view;
        var cause = run.Status == RunStatus.Paused ? $" ({Words.Of(run.Paused)})" : "";
        return view with { Detail = $"run {last} of the last time has not ended: it is {Words.Of(run.Status)}{cause}" };
    }

    private ScheduleView Show(ScheduleRecord record, int times)
    {
        var (definition, failure) = ScheduleDefinition.Read(record.Name, record.Definition);
        var next = new List<DateTimeOffset>();
        for (var at = record.Paused ? null : record.Next; at is { } time && next.Count < times; at = definition?.Times.After(time))
            next.Add(time);
        return new ScheduleView
        {
            Name = record.Name,
            Agent = definition?.Agent ?? "",
            Generation = record.Generation,
            Cron = definition?.Spec.Cron,
            Every = definition?.Spec.Every,
            TimeZone = definition?.TimeZone ?? "",
            Overlap = definition?.Overlap ?? OverlapPolicy.Skip,
            CatchUp = Durations.Text(definition?.CatchUp ?? default),
            Jitter = Durations.Text(definition?.Jitter ?? default),
            Start = definition?.Spec.Start,
            End = definition?.Spec.End,
            Paused = record.Paused,
            CreatedAt = record.CreatedAt,
            Next = next,
            LastRun = record.LastRun?.ToString(),
            LastAt = record.LastAt,
            Detail = (failure ?? keeper.TroubleOf(record)) is { } trouble ? $"{trouble.Code}: {trouble.Message}" : null,
        };
    }

    private abstract record Change
    {
        internal sealed record None : Change;

        internal sealed record Missing : Change;

        internal sealed record Refuse(Failure Failure) : Change;

        internal sealed record Put(NewSchedule Schedule) : Change;
    }
}

public abstract record ScheduleOutcome
{
    public sealed record Done(ScheduleView Schedule, bool Created) : ScheduleOutcome;

    public sealed record NotFound : ScheduleOutcome;

    public sealed record Refused(Failure Failure) : ScheduleOutcome;
}
