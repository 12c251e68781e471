using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Conformance;

public abstract partial class RunStoreConformance
{
    private IScheduleStore Schedules => _host.Schedules;

    private NewSchedule Nightly(string name = "nightly", DateTimeOffset? next = null, bool paused = false) =>
        new(name, Ids.NextRandom(), "{\"cron\":\"x\"}"u8.ToArray(), Clock.GetUtcNow(), next ?? Clock.GetUtcNow().AddHours(1), paused);

    private async Task<ScheduleRecord> ScheduleAsync(string name = "nightly") => (await Schedules.ListSchedulesAsync(default)).Single(s => s.Name == name);

    private ScheduleFire FireOf(ScheduleRecord schedule, NewRun? run, params NewInput[] posts) =>
        new(schedule.Name, schedule.Generation, schedule.Next!.Value, schedule.Next.Value.AddHours(24), run, posts);

    [Fact]
    public async Task A_schedule_is_kept_as_it_was_given()
    {
        var given = Nightly();

        var put = (await Schedules.PutScheduleAsync(given, default))!;

        Assert.Equal((given.Name, given.Uid, 1L, given.At, given.Next, false, null, null),
            (put.Name, put.Uid, put.Generation, put.CreatedAt, put.Next, put.Paused, put.LastRun, put.LastAt));
        Assert.Equal(given.Definition.ToArray(), put.Definition.ToArray());
        await _host.ReopenAsync();
        Assert.Equivalent(put, await ScheduleAsync(), strict: true);
    }

    [Fact]
    public async Task A_replaced_schedule_has_a_new_generation_and_its_old_history()
    {
        var first = (await Schedules.PutScheduleAsync(Nightly(), default))!;
        var run = NewRun("key");
        await Schedules.FireAsync(FireOf(first, run), default);
        Clock.Advance(TimeSpan.FromHours(2));

        var second = (await Schedules.PutScheduleAsync(Nightly(paused: true), default))!;

        Assert.Equal((2L, first.CreatedAt, true, run.Id, first.Next), (second.Generation, second.CreatedAt, second.Paused, second.LastRun, second.LastAt));
        Assert.False(await Schedules.FireAsync(FireOf(first, NewRun("key of the old definition")), default));
        Assert.Single(await Schedules.ListSchedulesAsync(default));
        Assert.True(await Schedules.RemoveScheduleAsync("nightly", default));
        Assert.False(await Schedules.RemoveScheduleAsync("nightly", default));
        Assert.Empty(await Schedules.ListSchedulesAsync(default));
        Assert.False(await Schedules.FireAsync(FireOf(second, NewRun("key after the removal")), default));
        Assert.Single(await Reader.ListAsync(new RunFilter(null, null, null, 10), default));
    }

    [Fact]
    public async Task Schedules_whose_time_has_come_are_found_earliest_first()
    {
        var now = Clock.GetUtcNow();
        await Schedules.PutScheduleAsync(Nightly("late", now.AddHours(2)), default);
        await Schedules.PutScheduleAsync(Nightly("b", now.AddHours(1)), default);
        await Schedules.PutScheduleAsync(Nightly("a", now.AddHours(1)), default);
        await Schedules.PutScheduleAsync(Nightly("first", now), default);
        await Schedules.PutScheduleAsync(Nightly("paused", now, paused: true), default);
        await Schedules.PutScheduleAsync(Nightly("never") with { Next = null }, default);

        Assert.Equal(["first", "a", "b"], (await Schedules.FindDueSchedulesAsync(now.AddHours(1), 10, default)).Select(s => s.Name));
        Assert.Equal(["first", "a"], (await Schedules.FindDueSchedulesAsync(now.AddHours(1), 2, default)).Select(s => s.Name));
        Assert.Equal(["a", "b", "first", "late", "never", "paused"], (await Schedules.ListSchedulesAsync(default)).Select(s => s.Name));
    }

    [Fact]
    public async Task Of_many_that_fire_one_time_one_makes_the_run()
    {
        var schedule = (await Schedules.PutScheduleAsync(Nightly(), default))!;
        var runs = Enumerable.Range(0, 20).Select(i => NewRun($"key {i}")).ToList();

        var fired = await Task.WhenAll(runs.Select(run => Schedules.FireAsync(FireOf(schedule, run), default)));

        Assert.Single(fired, true);
        var made = Assert.Single(await Reader.ListAsync(new RunFilter(null, null, null, 100), default));
        var after = await ScheduleAsync();
        Assert.Equal((made.Id, schedule.Next, schedule.Next!.Value.AddHours(24)), (after.LastRun!.Value, after.LastAt, after.Next));
        Assert.True(await IsClaimableAsync(made.Id));
    }

    [Fact]
    public async Task A_fire_whose_run_is_there_already_moves_the_cursor_and_makes_no_second_one()
    {
        var schedule = (await Schedules.PutScheduleAsync(Nightly(), default))!;
        var known = NewRun("key");
        await Store.CreateAsync(known, default);

        Assert.True(await Schedules.FireAsync(FireOf(schedule, NewRun("key")), default));

        var after = await ScheduleAsync();
        Assert.Equal((known.Id, schedule.Next!.Value.AddHours(24)), (after.LastRun!.Value, after.Next));
        Assert.Single(await Reader.ListAsync(new RunFilter(null, null, null, 100), default));
    }

    [Fact]
    public async Task A_skipped_time_moves_the_cursor_and_a_last_one_ends_it()
    {
        var schedule = (await Schedules.PutScheduleAsync(Nightly(), default))!;

        Assert.True(await Schedules.FireAsync(FireOf(schedule, null), default));
        var skipped = await ScheduleAsync();
        Assert.True(await Schedules.FireAsync(FireOf(skipped, null) with { To = null }, default));

        Assert.Equal((null, null, schedule.Next!.Value.AddHours(24)), (skipped.LastRun, skipped.LastAt, skipped.Next));
        Assert.Null((await ScheduleAsync()).Next);
        Assert.Empty(await Schedules.FindDueSchedulesAsync(DateTimeOffset.MaxValue, 10, default));
        Assert.Empty(await Reader.ListAsync(new RunFilter(null, null, null, 10), default));
    }

    [Fact]
    public async Task A_fire_that_lost_changes_nothing_and_one_that_won_posts_its_cancels()
    {
        var schedule = (await Schedules.PutScheduleAsync(Nightly(), default))!;
        var old = await PauseAsync(await CreateAndClaimAsync());
        var fire = FireOf(schedule, NewRun("key"), InputFor(old.Id, "cancel"), InputFor(new RunId(Ids.NextRun()), "cancel"));

        foreach (var stale in new[] { fire with { Generation = 2 }, fire with { From = fire.From.AddHours(1) }, fire with { Name = "another" } })
            Assert.False(await Schedules.FireAsync(stale, default));
        await Schedules.PutScheduleAsync(Nightly("paused", paused: true), default);
        Assert.False(await Schedules.FireAsync(FireOf(await ScheduleAsync("paused"), NewRun("key")), default));
        Assert.Empty(await Reader.ReadInboxAsync(old.Id, 10, default));
        Assert.Single(await Reader.ListAsync(new RunFilter(null, null, null, 10), default));

        Assert.True(await Schedules.FireAsync(fire, default));
        Assert.Single(await Reader.ReadInboxAsync(old.Id, 10, default));
        Assert.True(await IsClaimableAsync(old.Id));
    }
}
