using Caisson.Contracts;
using Caisson.Core.Schedules;
using CsCheck;

namespace Caisson.Core.Tests.Schedules;

public sealed class SchedulePlannerTests
{
    private static readonly DateTimeOffset Nine = Some.Utc("2026-05-04 09:00");

    private static readonly ScheduleSpec Quarterly = Some.Every("15m");

    [Fact]
    public void Nothing_starts_before_its_time()
    {
        Assert.Equal(new SchedulePlan.Wait(Nine), Plan(Quarterly, Nine, Nine.AddTicks(-1)));
        Assert.Equal(new SchedulePlan.Fire(Nine, Nine.AddMinutes(15), null), Plan(Quarterly, Nine, Nine));
        Assert.Equal(new SchedulePlan.Over(), Plan(Quarterly, null, Nine));
    }

    [Fact]
    public void The_last_time_leaves_no_cursor()
    {
        var spec = Quarterly with { End = Nine.AddMinutes(14) };

        Assert.Equal(new SchedulePlan.Fire(Nine, null, null), Plan(spec, Nine, Nine));
    }

    [Fact]
    public void A_time_starts_late_within_the_window_and_no_later()
    {
        Assert.IsType<SchedulePlan.Fire>(Plan(Quarterly, Nine, Nine.AddSeconds(60)));
        Assert.Equal(new SchedulePlan.Skip(SkipReason.TooLate, 1, Nine, Nine.AddMinutes(15)), Plan(Quarterly, Nine, Nine.AddSeconds(61)));
    }

    [Fact]
    public void A_clock_that_jumps_an_hour_ahead_starts_what_the_window_holds_and_counts_the_rest()
    {
        var minutely = Some.Cron("* * * * *") with { Overlap = "allow", CatchUp = "5m" };

        var moves = Run(minutely, Nine, Nine.AddMinutes(60).AddSeconds(10));

        Assert.Equal(new SchedulePlan.Skip(SkipReason.TooLate, 56, Nine, Nine.AddMinutes(56)), moves[0]);
        Assert.Equal(Enumerable.Range(56, 5).Select(m => Nine.AddMinutes(m)), moves.Skip(1).OfType<SchedulePlan.Fire>().Select(fire => fire.Nominal));
        Assert.Equal(new SchedulePlan.Wait(Nine.AddMinutes(61)), moves[^1]);
        Assert.Equal(7, moves.Count);
    }

    [Fact]
    public void A_clock_that_jumps_back_starts_nothing_again()
    {
        var minutely = Some.Cron("* * * * *") with { Overlap = "allow" };
        var fired = Assert.IsType<SchedulePlan.Fire>(Run(minutely, Nine, Nine)[0]);

        var moves = Run(minutely, fired.Next, Nine.AddHours(-1));

        Assert.Equal([new SchedulePlan.Wait(Nine.AddMinutes(1))], moves);
    }

    [Fact]
    public void A_long_absence_is_counted_up_to_a_bound()
    {
        var secondly = Some.Cron("* * * * * *");

        var plan = Plan(secondly, Nine, Nine.AddYears(3));

        Assert.Equal(new SchedulePlan.Skip(SkipReason.TooLate, SchedulePlanner.MaxCounted, Nine, Nine.AddYears(3).AddSeconds(-60)), plan);
    }

    [Fact]
    public void Skip_passes_over_all_that_came_while_the_run_before_lives()
    {
        var minutely = Some.Cron("* * * * *") with { CatchUp = "1h" };

        Assert.Equal(new SchedulePlan.Skip(SkipReason.Overlap, 3, Nine, Nine.AddMinutes(3)), Plan(minutely, Nine, Nine.AddSeconds(150), new PreviousRun(Some.Run, null)));
        Assert.IsType<SchedulePlan.Fire>(Plan(minutely, Nine, Nine, new PreviousRun(Some.Run, Nine.AddSeconds(-1))));
    }

    [Fact]
    public void Cancel_old_names_the_run_that_it_replaces()
    {
        var spec = Quarterly with { Overlap = "cancel_old" };

        Assert.Equal(new SchedulePlan.Fire(Nine, Nine.AddMinutes(15), Some.Run), Plan(spec, Nine, Nine, new PreviousRun(Some.Run, null)));
        Assert.Equal(new SchedulePlan.Fire(Nine, Nine.AddMinutes(15), null), Plan(spec, Nine, Nine, new PreviousRun(Some.Run, Nine)));
    }

    [Fact]
    public void Allow_does_not_look_at_the_run_before()
    {
        Assert.Equal(new SchedulePlan.Fire(Nine, Nine.AddMinutes(15), null), Plan(Quarterly with { Overlap = "allow" }, Nine, Nine, new PreviousRun(Some.Run, null)));
    }

    [Fact]
    public void A_queued_time_waits_for_the_end_of_the_run_before_however_long_it_takes()
    {
        var spec = Quarterly with { Overlap = "queue" };
        var hourLater = Nine.AddHours(1);

        // The latest time is the one that waits.
        Assert.Equal(new SchedulePlan.Queue(Some.Run), Plan(spec, Nine, Nine.AddMinutes(14), new PreviousRun(Some.Run, null)));
        Assert.Equal(new SchedulePlan.Skip(SkipReason.Superseded, 4, Nine, hourLater), Plan(spec, Nine, hourLater, new PreviousRun(Some.Run, null)));
        Assert.Equal(new SchedulePlan.Queue(Some.Run), Plan(spec, hourLater, hourLater.AddMinutes(10), new PreviousRun(Some.Run, null)));

        // It may start within the window after that end, and not within that after its own moment.
        var end = hourLater.AddMinutes(10);
        Assert.Equal(new SchedulePlan.Fire(hourLater, hourLater.AddMinutes(15), null), Plan(spec, hourLater, end.AddSeconds(60), new PreviousRun(Some.Run, end)));
        Assert.Equal(new SchedulePlan.Skip(SkipReason.TooLate, 1, hourLater, hourLater.AddMinutes(15)), Plan(spec, hourLater, end.AddSeconds(61), new PreviousRun(Some.Run, end)));
    }

    [Fact]
    public void Of_the_times_that_came_before_the_end_only_the_latest_was_queued()
    {
        var spec = Some.Cron("* * * * *") with { Overlap = "queue", CatchUp = "10m" };
        var end = Nine.AddSeconds(150);

        var moves = Run(spec, Nine, Nine.AddSeconds(200), new PreviousRun(Some.Run, end));

        Assert.Equal(
            [new SchedulePlan.Skip(SkipReason.Superseded, 2, Nine, Nine.AddMinutes(2)), new SchedulePlan.Fire(Nine.AddMinutes(2), Nine.AddMinutes(3), null)],
            moves.Take(2));
    }

    [Fact]
    public void An_end_in_the_future_is_a_clock_that_jumped_back_and_hides_no_time()
    {
        var spec = Quarterly with { Overlap = "queue" };

        var plan = Plan(spec, Nine, Nine.AddSeconds(5), new PreviousRun(Some.Run, Nine.AddHours(1)));

        Assert.Equal(new SchedulePlan.Fire(Nine, Nine.AddMinutes(15), null), plan);
    }

    [Fact]
    public void A_cursor_that_the_calendar_does_not_have_any_more_is_not_lost()
    {
        // A government moved the clocks: what was the next time is none by the new rules.
        var plan = Plan(Some.Cron("0 0 1 1 *") with { Start = Nine }, Nine.AddMinutes(1), Nine.AddMinutes(1), new PreviousRun(Some.Run, null));

        Assert.Equal(new SchedulePlan.Skip(SkipReason.Overlap, 1, Nine.AddMinutes(1), Some.Utc("2027-01-01 00:00")), plan);
    }

    [Fact]
    public void Jitter_delays_each_time_by_its_own_measure_and_the_same_each_time()
    {
        var definition = Some.Definition(Quarterly with { Jitter = "10m" });
        var delays = Enumerable.Range(0, 50).Select(i => Delay(definition, Nine.AddMinutes(15 * i))).ToList();

        Assert.All(delays, delay => Assert.InRange(delay, TimeSpan.Zero, TimeSpan.FromMinutes(10)));
        Assert.True(delays.Distinct().Count() > 45);
        Assert.True(delays.Max() > TimeSpan.FromMinutes(8), "it uses its range");
        Assert.Equal(delays[7], Delay(definition, Nine.AddMinutes(15 * 7)));
        Assert.NotEqual(delays[7], SchedulePlanner.StartOf(definition, Some.Record(null) with { Generation = 2 }, Nine.AddMinutes(15 * 7)) - Nine.AddMinutes(15 * 7));
    }

    [Fact]
    public void A_jittered_time_starts_at_its_moment_and_its_window_opens_then()
    {
        var spec = Quarterly with { Jitter = "10m" };
        var start = Nine + Delay(Some.Definition(spec), Nine);
        Assert.True(start > Nine.AddSeconds(1));

        Assert.Equal(new SchedulePlan.Wait(start), Plan(spec, Nine, start.AddTicks(-1)));
        Assert.IsType<SchedulePlan.Fire>(Plan(spec, Nine, start));
        Assert.IsType<SchedulePlan.Fire>(Plan(spec, Nine, start.AddSeconds(60)));
        Assert.IsType<SchedulePlan.Skip>(Plan(spec, Nine, start.AddSeconds(61)));
    }

    [Fact]
    public void Jitter_never_reaches_the_next_time()
    {
        var definition = Some.Definition(Some.Cron("*/5 * * * * *") with { Jitter = "1h" });

        var starts = Enumerable.Range(0, 500).Select(i => SchedulePlanner.StartOf(definition, Some.Record(null), Nine.AddSeconds(5 * i)) - Nine.AddSeconds(5 * i));

        Assert.All(starts, delay => Assert.True(delay < TimeSpan.FromSeconds(5)));
    }

    /// <summary>Against a plain model: from any late cursor, exactly the times whose start lies within the window fire, each once and in order.</summary>
    [Fact]
    public void What_fires_is_what_the_window_holds()
    {
        var specs = new[] { Some.Cron("*/7 * * * * *"), Some.Every("90s"), Some.Cron("*/30 1-3 * * *", "Europe/Berlin"), Some.Every("40s") with { Jitter = "10m" } };
        Gen.Select(Gen.Int[0, specs.Length - 1], Gen.Int[0, 40_000], Gen.Int[10, 3_000], Gen.Int[0, 90_000]).Sample((which, late, window, offset) =>
        {
            var spec = specs[which] with { Overlap = "allow", CatchUp = $"{window}s" };
            var definition = Some.Definition(spec);
            var first = definition.Times.AtOrAfter(Some.Utc("2026-03-28 20:00").AddSeconds(offset))!.Value;
            var now = first.AddSeconds(late);

            var fired = Run(spec, first, now).OfType<SchedulePlan.Fire>().Select(fire => fire.Nominal);

            var expected = Some.TimesFrom(definition.Times, first).TakeWhile(at => at <= now)
                .Where(at => SchedulePlanner.StartOf(definition, Some.Record(null), at) is var start && start <= now && now - start <= TimeSpan.FromSeconds(window));
            return expected.SequenceEqual(fired);
        });
    }

    private static TimeSpan Delay(ScheduleDefinition definition, DateTimeOffset nominal) => SchedulePlanner.StartOf(definition, Some.Record(null), nominal) - nominal;

    private static SchedulePlan Plan(ScheduleSpec spec, DateTimeOffset? cursor, DateTimeOffset now, PreviousRun? previous = null) =>
        SchedulePlanner.Plan(Some.Definition(spec), Some.Record(cursor), previous, now);

    /// <summary>Moves until it waits, the previous run staying as it is.</summary>
    private static List<SchedulePlan> Run(ScheduleSpec spec, DateTimeOffset? cursor, DateTimeOffset now, PreviousRun? previous = null)
    {
        var plans = new List<SchedulePlan>();
        while (true)
        {
            plans.Add(Plan(spec, cursor, now, previous));
            switch (plans[^1])
            {
                case SchedulePlan.Fire fire:
                    cursor = fire.Next;
                    break;
                case SchedulePlan.Skip skip:
                    cursor = skip.Next;
                    break;
                default:
                    return plans;
            }
        }
    }
}
