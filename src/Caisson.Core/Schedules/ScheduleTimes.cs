using Caisson.Core.Journal;
using Cronos;

namespace Caisson.Core.Schedules;

/// <summary>
/// The nominal times of a schedule: whole seconds, in UTC. A cron expression is read in its time zone. A time that the
/// clocks leave out in spring comes at the first moment after the gap; of one that they show twice in autumn the first
/// counts, but an expression that names no hour (<c>*/30 * * * *</c>) goes on at its distance through both.
/// </summary>
internal abstract record ScheduleTimes(DateTimeOffset? Start, DateTimeOffset? End)
{
    internal DateTimeOffset? AtOrAfter(DateTimeOffset at)
    {
        var next = Next(Start > at ? Start.Value : at);
        return next > End ? null : next;
    }

    internal DateTimeOffset? After(DateTimeOffset at) => AtOrAfter(at.AddTicks(1));

    internal DateTimeOffset? AtOrBefore(DateTimeOffset at)
    {
        var last = Previous(End < at ? End.Value : at);
        return last < Start ? null : last;
    }

    protected abstract DateTimeOffset? Next(DateTimeOffset atOrAfter);

    protected abstract DateTimeOffset? Previous(DateTimeOffset atOrBefore);

    internal sealed record Cron(CronExpression Expression, TimeZoneInfo Zone, DateTimeOffset? Start, DateTimeOffset? End) : ScheduleTimes(Start, End)
    {
        // From just before: a time that a spring gap moved to the gap's end is not found by a search that begins at its end.
        protected override DateTimeOffset? Next(DateTimeOffset atOrAfter) =>
            Expression.GetNextOccurrence(atOrAfter.AddTicks(-1), Zone, inclusive: false)?.ToUniversalTime();

        /// <summary>
        /// Looking forward decides what a nominal time is. Looking back, the library leaves out those that a spring gap
        /// moved, and may name the second one of an autumn night: so its answer is only where the search begins.
        /// </summary>
        protected override DateTimeOffset? Previous(DateTimeOffset atOrBefore)
        {
            var last = Back(atOrBefore);
            while (last is { } found && Next(found) != found)
                last = Back(found.AddTicks(-1));
            while (last is { } found && Next(found.AddTicks(1)) is { } later && later <= atOrBefore)
                last = later;
            return last;
        }

        private DateTimeOffset? Back(DateTimeOffset atOrBefore) => Expression.GetPreviousOccurrence(atOrBefore, Zone, inclusive: true)?.ToUniversalTime();
    }

    /// <param name="Distance">Whole seconds.</param>
    internal sealed record Interval(TimeSpan Distance, DateTimeOffset? Start, DateTimeOffset? End) : ScheduleTimes(Start, End)
    {
        private long Anchor => (Start?.ToUnixTimeSeconds() ?? 0) * TimeSpan.TicksPerSecond + DateTimeOffset.UnixEpoch.Ticks;

        protected override DateTimeOffset? Next(DateTimeOffset atOrAfter) => Previous(atOrAfter.AddTicks(Distance.Ticks - 1));

        protected override DateTimeOffset? Previous(DateTimeOffset atOrBefore)
        {
            var gone = atOrBefore.UtcTicks - Anchor;
            return gone < 0 ? null : new DateTimeOffset(Anchor + gone - gone % Distance.Ticks, TimeSpan.Zero);
        }
    }
}

/// <summary>What a nominal time of a schedule is called, for ever: the run that it starts bears this as its idempotency key.</summary>
internal static class ScheduleKey
{
    internal static string Of(Guid uid, long generation, DateTimeOffset nominal) =>
        StepHash.Of("schedule", uid.ToString("N"), generation.ToString(System.Globalization.CultureInfo.InvariantCulture), Text(nominal));

    /// <summary>As in the label <c>schedule_time</c>.</summary>
    internal static string Text(DateTimeOffset nominal) =>
        nominal.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
}
