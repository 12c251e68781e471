using Caisson.Contracts;
using Caisson.Core.Schedules;

namespace Caisson.Core.Tests.Schedules;

public sealed class ScheduleDefinitionTests
{
    [Fact]
    public void What_is_not_said_has_a_default()
    {
        var definition = Some.Definition(Some.Cron("0 9 * * *"));

        Assert.Equal(("UTC", OverlapPolicy.Skip, TimeSpan.FromMinutes(1), TimeSpan.Zero), (definition.TimeZone, definition.Overlap, definition.CatchUp, definition.Jitter));
    }

    [Theory]
    [InlineData("Nightly")]
    [InlineData("-nightly")]
    [InlineData("night ly")]
    [InlineData("nightly\n")]
    [InlineData("")]
    [InlineData("a/b")]
    public void A_name_is_plain(string name) => Expect(name, Some.Every("1h"), "name", "lower-case");

    [Theory]
    [InlineData("0 0 30 2 *", "the calendar has none")]
    [InlineData("0 0 31 4,6,9,11 *", "the calendar has none")]
    [InlineData("* * * *", "five fields")]
    [InlineData("* * * * * * *", "five fields")]
    [InlineData("@daily", "five fields")]
    [InlineData("61 * * * *", "between 0 and 59")]
    [InlineData("0 0 * * mondays", "")]
    [InlineData("H * * * *", "")]
    [InlineData("", "five fields")]
    public void A_cron_expression_that_cannot_be_is_refused(string cron, string says) => Expect("nightly", Some.Cron(cron), "cron", says);

    [Theory]
    [InlineData("Europe/Atlantis")]
    [InlineData("W. Europe Standard Time")]
    [InlineData("right/Europe/Berlin")]
    [InlineData("localtime")]
    [InlineData("../zoneinfo/UTC")]
    [InlineData("")]
    public void A_time_zone_is_an_IANA_name(string zone) => Expect("nightly", Some.Cron("0 9 * * *", zone), "timeZone", "Europe/Berlin");

    [Theory]
    [InlineData("0s")]
    [InlineData("500ms")]
    [InlineData("1500ms")]
    [InlineData("367d")]
    [InlineData("15")]
    [InlineData("-1m")]
    public void A_distance_is_whole_seconds_within_its_range(string every) => Expect("nightly", Some.Every(every), "every", "1s to 366d");

    [Theory]
    [InlineData("9s", null, "catchUp")]
    [InlineData("8d", null, "catchUp")]
    [InlineData("soon", null, "catchUp")]
    [InlineData(null, "25h", "jitter")]
    [InlineData(null, "-1s", "jitter")]
    public void Window_and_jitter_have_ranges(string? catchUp, string? jitter, string key) =>
        Expect("nightly", Some.Every("1h") with { CatchUp = catchUp, Jitter = jitter }, key, "a duration from");

    [Theory]
    [InlineData("drop")]
    [InlineData("Skip")]
    [InlineData("3")]
    public void An_overlap_policy_is_one_of_four(string overlap) => Expect("nightly", Some.Every("1h") with { Overlap = overlap }, "overlap", "skip, queue, cancel_old, allow");

    [Fact]
    public void It_says_when_exactly_once()
    {
        Expect("nightly", Some.Every("1h") with { Cron = "0 9 * * *" }, "cron", "exactly one");
        Expect("nightly", Some.Every("1h") with { Every = null }, "cron", "exactly one");
        Expect("nightly", Some.Every("1h") with { TimeZone = "Europe/Berlin" }, "timeZone", "with cron only");
        Expect("nightly", Some.Every("1h") with { Start = Some.Utc("2026-01-02 00:00"), End = Some.Utc("2026-01-02 00:00") }, "end", "after start");
    }

    [Fact]
    public void The_labels_that_a_schedule_sets_are_its_own()
    {
        foreach (var label in new[] { "schedule", "schedule_time" })
            Expect("nightly", Some.Every("1h") with { Labels = new Dictionary<string, string> { [label] = "x" } }, "labels", "itself sets");
        Expect("nightly", Some.Every("1h") with { Labels = Enumerable.Range(0, 31).ToDictionary(i => $"l{i}", i => "x") }, "labels", "at most 30");
    }

    [Fact]
    public void What_is_stored_reads_the_same()
    {
        var spec = Some.Cron("0 9 * * 1-5", "Europe/Berlin") with
        {
            Limits = new RunOverrides(Usd: "0.05", Deadline: TimeSpan.FromMinutes(3)),
            Labels = new Dictionary<string, string> { ["team"] = "ops" },
            Overlap = "cancel_old",
            CatchUp = "2h",
            Jitter = "30s",
            Start = Some.Utc("2026-01-01 00:00"),
        };

        var (read, failure) = ScheduleDefinition.Read("nightly", ScheduleDefinition.Write(new StoredSchedule(spec, "talker")).AsMemory());

        Assert.Null(failure);
        var written = Some.Definition(spec);
        Assert.Equal("talker", read!.Agent);
        Assert.Equal(written.Times, read.Times);
        Assert.Equal((written.Overlap, written.CatchUp, written.Jitter, written.TimeZone), (read.Overlap, read.CatchUp, read.Jitter, read.TimeZone));
        Assert.Equal(spec.Limits, read.Spec.Limits);
        Assert.NotNull(ScheduleDefinition.Read("nightly", ScheduleDefinition.Write(new StoredSchedule(Some.Every("1h") with { ManifestFile = null }, "talker")).AsMemory()).Definition);
        Assert.Equal("ops", read.CommandAt(Some.Utc("2026-01-01 08:00"), null).Labels["team"]);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{")]
    [InlineData("{}")]
    [InlineData("""{"spec":{"manifest":"m","input":"i","cron":"no"}}""")]
    public void What_cannot_be_read_from_the_store_is_a_failure(string stored)
    {
        var (definition, failure) = ScheduleDefinition.Read("nightly", global::System.Text.Encoding.UTF8.GetBytes(stored).AsMemory());

        Assert.Null(definition);
        Assert.Equal(ErrorCodes.ScheduleInvalid, failure!.Code);
    }

    private static void Expect(string name, ScheduleSpec spec, string key, string says)
    {
        var (definition, failure) = ScheduleDefinition.Read(name, spec);

        Assert.Null(definition);
        Assert.Equal(ErrorCodes.ScheduleInvalid, failure!.Code);
        Assert.Contains($": {key}: found '", failure.Message, StringComparison.Ordinal);
        Assert.Contains(says, failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', failure.Message);
    }
}
