using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Lifecycle;
using Caisson.Core.Schedules;

namespace Caisson.Core.Tests.Schedules;

public sealed class ScheduleBookTests
{
    private static readonly ScheduleSpec Hourly = Some.Cron("0 * * * *");

    [Fact]
    public async Task A_new_schedule_shows_its_next_five_times()
    {
        var desk = new Desk();

        var view = await desk.PutAsync(Some.Cron("30 9 * * 1-5", "Europe/Berlin") with { Jitter = "30s", Overlap = "queue" });

        Assert.Equal(("nightly", "talker", 1L, "Europe/Berlin", OverlapPolicy.Queue, "1m", "30s", false), (view.Name, view.Agent, view.Generation, view.TimeZone, view.Overlap, view.CatchUp, view.Jitter, view.Paused));
        Assert.Equal("05-05 05-06 05-07 05-08 05-11".Split(' ').Select(day => Some.Utc($"2026-{day} 07:30")), view.Next);
        Assert.Equal(Some.Manifest, view.Spec!.Manifest);
        var listed = Assert.Single(await desk.Book.ListAsync(default));
        Assert.Equal((1, null), (listed.Next.Count, listed.Spec));
    }

    [Fact]
    public async Task What_a_run_would_be_refused_for_the_schedule_is_refused_for()
    {
        var desk = new Desk();

        Assert.Equal(ErrorCodes.ManifestInvalid, (await desk.RefusedAsync(Hourly with { Manifest = "nmae: x" })).Code);
        Assert.Equal(ErrorCodes.SandboxUnavailable, (await desk.RefusedAsync(Hourly with { Manifest = Some.Manifest + "  tools: [shell]\n" })).Code);
        Assert.Equal(ErrorCodes.RequestInvalid, (await desk.RefusedAsync(Hourly with { Limits = new RunOverrides(Steps: -1) })).Code);
        Assert.Equal(ErrorCodes.PayloadTooLarge, (await desk.RefusedAsync(Hourly with { Input = new string('x', (64 << 10) + 1) })).Code);
        desk.Models.Refusal = new Failure(ErrorCodes.ModelUnknown, "none");
        Assert.Equal(ErrorCodes.ModelUnknown, (await desk.RefusedAsync(Hourly)).Code);
        Assert.Empty(await desk.Store.ListSchedulesAsync(default));
    }

    [Fact]
    public async Task A_schedule_without_a_time_to_come_is_refused()
    {
        var failure = await new Desk().RefusedAsync(Hourly with { Start = Some.Utc("2020-01-01 00:00"), End = Some.Utc("2020-02-01 00:00") });

        Assert.Equal(ErrorCodes.ScheduleInvalid, failure.Code);
        Assert.Contains("no time is left", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_again_changes_nothing_and_an_operators_pause_survives_it()
    {
        var desk = new Desk();
        await desk.PutAsync(Hourly);
        await desk.Book.PauseAsync("nightly", default);

        var again = await desk.PutAsync(Hourly);

        Assert.Equal((2L, true), (again.Generation, again.Paused));
        Assert.Empty(again.Next);
        var said = await desk.PutAsync(Hourly with { Paused = false });
        Assert.Equal((3L, false), (said.Generation, said.Paused));
    }

    [Fact]
    public async Task Times_that_pass_in_a_pause_start_nothing_then_or_later()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "allow", CatchUp = "1h" });
        await desk.LookAtAsync("09:00:00");
        await desk.Book.PauseAsync("nightly", default);
        await desk.LookAtAsync("09:05:30");
        await desk.Book.ResumeAsync("nightly", default);

        await desk.LookAtAsync("09:05:31");
        await desk.LookAtAsync("09:06:00");

        Assert.Equal(["09:00:00", "09:06:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task A_new_manifest_does_not_lose_the_time_that_waits_behind_a_run()
    {
        var desk = new Desk();
        var spec = Some.Cron("*/10 * * * *") with { Overlap = "queue" };
        await desk.PutAsync(spec);
        await desk.LookAtAsync("09:00:00");
        var first = Assert.Single(await desk.RunsAsync());
        await desk.LookAtAsync("09:10:00");

        await desk.PutAsync(spec with { Input = "other" });
        await desk.EndAsync(first.Id);
        await desk.LookAtAsync("09:10:30");

        Assert.Equal(["09:00:00", "09:10:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task Other_times_begin_from_now_and_never_again_before_the_last_that_started()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("*/10 * * * *") with { Overlap = "allow" });
        await desk.LookAtAsync("09:10:00");
        Assert.Equal(["09:10:00"], await desk.TimesAsync());

        // The clock was set back before somebody changed the schedule.
        desk.Clock.AdjustTime(Desk.Nine.AddMinutes(5));
        await desk.PutAsync(Some.Cron("*/5 * * * *") with { Overlap = "allow" });

        Assert.Equal(Desk.Nine.AddMinutes(15), (await desk.RecordAsync()).Next);
    }

    /// <summary>A change reads the schedule and then writes it: a time that fires in between must not come back with the old cursor.</summary>
    [Theory]
    [InlineData("pause")]
    [InlineData("put")]
    public async Task A_time_that_fires_while_the_schedule_is_changed_stays_fired(string change)
    {
        var between = new Between();
        var desk = new Desk(between);
        await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "allow" });
        desk.Clock.AdjustTime(Desk.Nine);
        between.BeforePut = () => desk.Keeper.TickAsync(Desk.Nine, default);

        if (change == "pause")
            await desk.Book.PauseAsync("nightly", default);
        else
            await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "allow", Input = "other" });

        var record = await desk.RecordAsync();
        Assert.Equal((2L, Desk.Nine.AddMinutes(1)), (record.Generation, record.Next));
        await desk.Book.ResumeAsync("nightly", default);
        await desk.LookAtAsync("09:00:01");
        Assert.Equal(["09:00:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task A_trigger_starts_a_run_beside_the_cursor_once_for_each_key()
    {
        var desk = new Desk();
        await desk.PutAsync(Hourly);
        await desk.Book.PauseAsync("nightly", default);
        var before = await desk.RecordAsync();

        var first = Assert.IsType<CreateRunOutcome.Accepted>(await desk.Book.TriggerAsync("nightly", "key", default));
        desk.Clock.Advance(TimeSpan.FromSeconds(30));
        var again = Assert.IsType<CreateRunOutcome.Accepted>(await desk.Book.TriggerAsync("nightly", "key", default));
        var other = Assert.IsType<CreateRunOutcome.Accepted>(await desk.Book.TriggerAsync("nightly", null, default));

        Assert.Equal((first.Run, true), (again.Run, again.Existing));
        Assert.NotEqual(first.Run, other.Run);
        Assert.Equal(["08:59:30", "09:00:00"], await desk.TimesAsync());
        Assert.Equal(before, await desk.RecordAsync());
        await desk.PutAsync(Hourly with { Input = "other" });
        Assert.Equal(ErrorCodes.IdempotencyMismatch, Assert.IsType<CreateRunOutcome.Refused>(await desk.Book.TriggerAsync("nightly", "key", default)).Failure.Code);
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        var book = new Desk().Book;

        Assert.Null(await book.FindAsync("nightly", default));
        Assert.Null(await book.TriggerAsync("nightly", null, default));
        Assert.False(await book.RemoveAsync("nightly", default));
        Assert.IsType<ScheduleOutcome.NotFound>(await book.PauseAsync("nightly", default));
        Assert.IsType<ScheduleOutcome.NotFound>(await book.ResumeAsync("nightly", default));
    }

    [Fact]
    public async Task A_schedule_of_the_same_name_after_a_removal_is_another_one()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "skip" });
        await desk.LookAtAsync("09:00:00");
        var uid = (await desk.RecordAsync()).Uid;

        Assert.True(await desk.Book.RemoveAsync("nightly", default));
        await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "skip" });
        await desk.LookAtAsync("09:01:00");

        Assert.NotEqual(uid, (await desk.RecordAsync()).Uid);
        Assert.Equal(["09:00:00", "09:01:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task What_stands_in_the_way_of_the_next_run_is_shown()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("* * * * *") with { Overlap = "queue" });
        await desk.LookAtAsync("09:00:00");
        var run = Assert.Single(await desk.RunsAsync());

        Assert.Equal($"run {run.Id} of the last time has not ended: it is ready", (await desk.Book.FindAsync("nightly", default))!.Detail);
        await desk.EndAsync(run.Id);
        Assert.Null((await desk.Book.FindAsync("nightly", default))!.Detail);
    }

    private sealed class Between : IStoreFaults
    {
        internal Func<Task>? BeforePut { get; set; }

        public async ValueTask BeforeAsync(string operation, RunId? run)
        {
            if (operation != "put_schedule" || BeforePut is not { } act)
                return;
            BeforePut = null;
            await act();
        }

        public ValueTask AfterCommitAsync(string operation, RunId? run) => default;
    }
}
