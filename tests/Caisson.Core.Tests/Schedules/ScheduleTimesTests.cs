using Caisson.Core.Schedules;
using CsCheck;

namespace Caisson.Core.Tests.Schedules;

public sealed class ScheduleTimesTests
{
    [Theory]
    // Clocks go from 02:00 to 03:00 on 29 March 2026: 02:30 comes at 03:00, which is 01:00 in UTC.
    [InlineData("30 2 * * *", "2026-03-28 00:00", "2026-03-28 01:30, 2026-03-29 01:00, 2026-03-30 00:30")]
    [InlineData("0 9 * * *", "2026-03-28 00:00", "2026-03-28 08:00, 2026-03-29 07:00, 2026-03-30 07:00")]
    [InlineData("*/30 * * * *", "2026-03-29 00:00", "2026-03-29 00:00, 2026-03-29 00:30, 2026-03-29 01:00, 2026-03-29 01:30")]
    // They go from 03:00 back to 02:00 on 25 October 2026: 02:30 comes twice and counts once.
    [InlineData("30 2 * * *", "2026-10-24 00:00", "2026-10-24 00:30, 2026-10-25 00:30, 2026-10-26 01:30")]
    [InlineData("*/30 * * * *", "2026-10-25 00:00", "2026-10-25 00:00, 2026-10-25 00:30, 2026-10-25 01:00, 2026-10-25 01:30")]
    [InlineData("0 0 31 * *", "2026-01-01 00:00", "2026-01-30 23:00, 2026-03-30 22:00, 2026-05-30 22:00, 2026-07-30 22:00")]
    public void Berlin_keeps_its_clock(string cron, string from, string expected)
    {
        var times = Some.Definition(Some.Cron(cron, "Europe/Berlin")).Times;

        var found = Some.TimesFrom(times, Some.Utc(from)).Take(expected.Split(',').Length);

        Assert.Equal(expected, string.Join(", ", found.Select(at => Some.Text(at))));
    }

    [Theory]
    [InlineData("0 0 31 * *", "2026-01-31 00:00, 2026-03-31 00:00, 2026-05-31 00:00, 2026-07-31 00:00, 2026-08-31 00:00")]
    [InlineData("0 12 29 2 *", "2028-02-29 12:00, 2032-02-29 12:00")]
    [InlineData("0 0 L * *", "2026-01-31 00:00, 2026-02-28 00:00, 2026-03-31 00:00")]
    public void Months_without_the_day_are_left_out(string cron, string expected)
    {
        var found = Some.TimesFrom(Some.Definition(Some.Cron(cron)).Times, Some.Utc("2026-01-01 00:00")).Take(expected.Split(',').Length);

        Assert.Equal(expected, string.Join(", ", found.Select(at => Some.Text(at))));
    }

    [Fact]
    public void Six_fields_begin_with_seconds()
    {
        var found = Some.TimesFrom(Some.Definition(Some.Cron("*/20 * * * * *")).Times, Some.Utc("2026-01-01 00:00:01")).Take(3);

        Assert.Equal([Some.Utc("2026-01-01 00:00:20"), Some.Utc("2026-01-01 00:00:40"), Some.Utc("2026-01-01 00:01:00")], found);
    }

    [Theory]
    [InlineData("15m", null, "2026-01-01 10:07", "2026-01-01 10:15, 2026-01-01 10:30")]
    [InlineData("15m", "2026-01-01 10:05", "2026-01-01 10:07", "2026-01-01 10:20, 2026-01-01 10:35")]
    [InlineData("15m", "2026-01-01 10:05", "2025-01-01 10:07", "2026-01-01 10:05, 2026-01-01 10:20")]
    // A day is twenty-four hours, whatever the clocks do.
    [InlineData("1d", "2026-03-28 09:00", "2026-03-28 09:00", "2026-03-28 09:00, 2026-03-29 09:00")]
    public void An_interval_counts_from_its_start(string every, string? start, string from, string expected)
    {
        var spec = Some.Every(every) with { Start = start is null ? null : Some.Utc(start) };

        var found = Some.TimesFrom(Some.Definition(spec).Times, Some.Utc(from)).Take(2);

        Assert.Equal(expected, string.Join(", ", found.Select(at => Some.Text(at))));
    }

    [Fact]
    public void Start_and_end_are_themselves_times()
    {
        var spec = Some.Cron("0 * * * *") with { Start = Some.Utc("2026-01-01 10:00"), End = Some.Utc("2026-01-01 12:00") };

        var times = Some.Definition(spec).Times;

        Assert.Equal([10, 11, 12], Some.TimesFrom(times, Some.Utc("2020-01-01 00:00")).Select(at => at.Hour));
        Assert.Equal(Some.Utc("2026-01-01 12:00"), times.AtOrBefore(Some.Utc("2030-01-01 00:00")));
        Assert.Null(times.AtOrBefore(Some.Utc("2026-01-01 09:59")));
    }

    /// <summary>Looking back and looking forward agree, over two years with their changes of clocks.</summary>
    [Theory]
    [InlineData("30 2 * * *", "Europe/Berlin")]
    [InlineData("*/30 * * * *", "Europe/Berlin")]
    [InlineData("15 1,2,3 * * *", "America/New_York")]
    [InlineData("0 0 31 * *", "Australia/Lord_Howe")]
    [InlineData("0 0 0 29 2 *", "UTC")]
    [InlineData("7 */2 * * 1-5", "Asia/Kathmandu")]
    public void The_last_time_before_a_moment_has_no_other_between(string cron, string zone)
    {
        var times = Some.Definition(Some.Cron(cron, zone)).Times;
        var from = Some.Utc("2028-01-01 00:00");
        Gen.Int[0, 2 * 366 * 24 * 3600].Sample(seconds =>
        {
            var moment = from.AddSeconds(seconds);
            var before = times.AtOrBefore(moment);
            return before <= moment && times.AtOrAfter(before!.Value) == before && times.After(before.Value) > moment;
        });
    }

    /// <summary>On the days on which the clocks change, minute by minute: there the library's two directions differ.</summary>
    [Theory]
    [InlineData("30 2 * * *", "Europe/Berlin", "2028-03-26")]
    [InlineData("30 2 * * *", "Europe/Berlin", "2028-10-29")]
    [InlineData("*/20 2 * * *", "Europe/Berlin", "2028-03-26")]
    [InlineData("*/20 2,3 * * *", "Europe/Berlin", "2028-03-26")]
    [InlineData("*/20 * * * *", "Europe/Berlin", "2028-10-29")]
    [InlineData("15 1,2,3 * * *", "America/New_York", "2028-03-12")]
    [InlineData("15 1,2,3 * * *", "America/New_York", "2028-11-05")]
    [InlineData("10 2 * * *", "Australia/Lord_Howe", "2028-10-01")]
    public void Looking_back_and_looking_forward_see_the_same_times(string cron, string zone, string day)
    {
        var times = Some.Definition(Some.Cron(cron, zone)).Times;
        var from = Some.Utc(day + " 00:00").AddDays(-1);
        var forward = Some.TimesFrom(times, from.AddDays(-2)).TakeWhile(at => at < from.AddDays(4)).ToList();

        for (var moment = from; moment < from.AddDays(3); moment = moment.AddMinutes(1))
        {
            Assert.Equal((moment, forward.Last(at => at <= moment)), (moment, times.AtOrBefore(moment)));
            Assert.Equal((moment, forward.First(at => at >= moment)), (moment, times.AtOrAfter(moment)));
        }
    }

    [Fact]
    public void Every_time_is_a_whole_second_in_utc()
    {
        var times = new[]
        {
            Some.Definition(Some.Every("90s") with { Start = Some.Utc("2026-01-01 10:00").AddMilliseconds(617).ToOffset(TimeSpan.FromHours(2)) }).Times,
            Some.Definition(Some.Cron("*/7 * * * * *", "Asia/Kathmandu")).Times,
        };

        foreach (var at in times.SelectMany(t => Some.TimesFrom(t, Some.Utc("2026-01-01 00:00").AddMilliseconds(3)).Take(5)))
            Assert.Equal((0, TimeSpan.Zero), (at.Millisecond, at.Offset));
    }
}
