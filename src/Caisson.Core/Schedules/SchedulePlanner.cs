using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.Schedules;

/// <summary>
/// What a schedule does now.
/// <para>
/// Problem: each nominal time starts one run at most, over crashes, over several servers that look at once and over
/// clocks that jump, and a server that was away starts what it missed only within a bound. The schedule's cursor in the
/// store is the whole memory: the earliest nominal time that nothing was decided about. A decision moves it forward in
/// the transaction that creates the run, and only from where the decision found it. So a clock that jumps back starts
/// nothing again (the cursor is ahead of it), and one that jumps forward finds a cursor that is late.
/// </para>
/// <para>
/// A time starts at its nominal moment plus its jitter, which is less than the distance to the next: times never
/// overtake each other. A time that waits behind a run (<see cref="OverlapPolicy.Queue"/>) is the cursor itself, and it
/// is late only from the end of that run on.
/// </para>
/// </summary>
internal static class SchedulePlanner
{
    /// <summary>Passed-over times are counted up to this; beyond it the count says "at least".</summary>
    internal const int MaxCounted = 1_000;

    /// <param name="last">The run of the last time that started one, or <c>null</c> when there is none any more.</param>
    internal static SchedulePlan Plan(ScheduleDefinition definition, ScheduleRecord record, PreviousRun? last, DateTimeOffset now)
    {
        if (record.Next is not { } cursor)
            return new SchedulePlan.Over();
        var schedule = new Clockwork(definition, record);
        var due = schedule.StartOf(cursor);
        if (due > now)
            return new SchedulePlan.Wait(due);

        // 1. Behind a run only the latest time waits, and it is ready when that run ends.
        if (definition.Overlap == OverlapPolicy.Queue && last is not null && due <= last.BusyUntil(now))
        {
            var latest = schedule.LastStartedBy(cursor, last.BusyUntil(now));
            if (latest > cursor)
                return schedule.Skip(SkipReason.Superseded, cursor, latest);
            if (last.Lives)
                return new SchedulePlan.Queue(last.Run);
            due = last.BusyUntil(now);
        }

        // 2. Too late is too late, whatever the policy.
        if (now - due > definition.CatchUp)
            return schedule.Skip(SkipReason.TooLate, cursor, schedule.FirstNotTooLate(cursor, now));

        // 3. The run before it still lives.
        if (last is { Lives: true })
        {
            if (definition.Overlap == OverlapPolicy.Skip)
                return schedule.Skip(SkipReason.Overlap, cursor, schedule.Times.After(schedule.LastStartedBy(cursor, now)));
            if (definition.Overlap == OverlapPolicy.CancelOld)
                return new SchedulePlan.Fire(cursor, schedule.Times.After(cursor), last.Run);
        }

        return new SchedulePlan.Fire(cursor, schedule.Times.After(cursor), null);
    }

    /// <summary>When the run of a nominal time starts: later by a part of the jitter that only the time's key decides.</summary>
    internal static DateTimeOffset StartOf(ScheduleDefinition definition, ScheduleRecord record, DateTimeOffset nominal) =>
        new Clockwork(definition, record).StartOf(nominal);

    private readonly struct Clockwork(ScheduleDefinition definition, ScheduleRecord record)
    {
        internal ScheduleTimes Times => definition.Times;

        internal DateTimeOffset StartOf(DateTimeOffset nominal)
        {
            if (definition.Jitter == TimeSpan.Zero)
                return nominal;
            var bound = Times.After(nominal) - nominal is { } distance && distance < definition.Jitter ? distance : definition.Jitter;
            var dice = Convert.ToUInt32(ScheduleKey.Of(record.Uid, record.Generation, nominal)[..8], 16);
            return nominal.AddMilliseconds((long)bound.TotalMilliseconds * dice >> 32);
        }

        /// <summary>The last time whose start had come at a moment: the cursor, or one after it.</summary>
        internal DateTimeOffset LastStartedBy(DateTimeOffset cursor, DateTimeOffset moment)
        {
            var last = Times.AtOrBefore(moment);
            if (last > cursor && StartOf(last.Value) > moment)
                last = Times.AtOrBefore(last.Value.AddTicks(-1));
            return last > cursor ? last.Value : cursor;
        }

        /// <summary>Only the last time before the window can have been carried into it by its jitter.</summary>
        internal DateTimeOffset? FirstNotTooLate(DateTimeOffset cursor, DateTimeOffset now)
        {
            var opens = now - definition.CatchUp;
            return Times.AtOrBefore(opens) is { } before && before > cursor && StartOf(before) >= opens
                ? before
                : Times.After(cursor > opens ? cursor : opens);
        }

        internal SchedulePlan.Skip Skip(SkipReason reason, DateTimeOffset cursor, DateTimeOffset? to)
        {
            var count = 0;
            for (DateTimeOffset? at = cursor; at is { } passed && passed != to && count < MaxCounted; count++)
                at = Times.After(passed);
            return new SchedulePlan.Skip(reason, count, cursor, to);
        }
    }
}

internal abstract record SchedulePlan
{
    /// <summary>No time is left.</summary>
    internal sealed record Over : SchedulePlan;

    internal sealed record Wait(DateTimeOffset Until) : SchedulePlan;

    /// <summary>The cursor's time waits for the end of a run.</summary>
    internal sealed record Queue(RunId Behind) : SchedulePlan;

    /// <param name="Next">The cursor after it.</param>
    /// <param name="Cancel">The run that it replaces.</param>
    internal sealed record Fire(DateTimeOffset Nominal, DateTimeOffset? Next, RunId? Cancel) : SchedulePlan;

    /// <summary>Times from <paramref name="From"/> to before <paramref name="Next"/> start nothing.</summary>
    /// <param name="Count">How many; <see cref="SchedulePlanner.MaxCounted"/> means at least so many.</param>
    internal sealed record Skip(SkipReason Reason, int Count, DateTimeOffset From, DateTimeOffset? Next) : SchedulePlan;
}

internal enum SkipReason
{
    /// <summary>Later than the catch-up window allows.</summary>
    TooLate = 1,
    /// <summary>The run before it had not ended.</summary>
    Overlap = 2,
    /// <summary>A later time waits in its place.</summary>
    Superseded = 3,
}

/// <param name="EndedAt"><c>null</c> while it lives.</param>
internal sealed record PreviousRun(RunId Run, DateTimeOffset? EndedAt)
{
    internal bool Lives => EndedAt is null;

    /// <summary>It was in the way until then; an end in the future is a clock that jumped back.</summary>
    internal DateTimeOffset BusyUntil(DateTimeOffset now) => EndedAt < now ? EndedAt.Value : now;
}
