using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Schedules;
using Caisson.Core.Stores;
using CsCheck;

namespace Caisson.Core.Tests.Schedules;

public sealed class ScheduleKeeperTests
{
    private static readonly ScheduleSpec Minutely = Some.Cron("* * * * *") with { Overlap = "allow" };

    [Fact]
    public async Task A_due_time_starts_a_run_with_its_labels_and_wakes_the_dispatcher()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely with { Labels = new Dictionary<string, string> { ["team"] = "ops" } });

        await desk.LookAtAsync("08:59:59.9");
        Assert.Empty(await desk.RunsAsync());
        await desk.LookAtAsync("09:00:00.1");

        var run = Assert.Single(await desk.RunsAsync());
        Assert.Equal(new Dictionary<string, string> { ["team"] = "ops", ["schedule"] = "nightly", ["schedule_time"] = "2026-05-04T09:00:00Z" }, run.Summary.Labels);
        Assert.Equal(RunStatus.Ready, run.Status);
        Assert.Equal(run.Id, Assert.Single(desk.Signals.TakeDue()));
        var record = await desk.RecordAsync();
        Assert.Equal((run.Id, Desk.Nine, Desk.Nine.AddMinutes(1)), (record.LastRun, record.LastAt, record.Next));
    }

    [Fact]
    public async Task The_keeper_looks_again_when_the_next_time_comes_and_at_least_once_a_second()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely);

        Assert.Equal(Desk.Nine, await desk.LookAtAsync(Desk.Nine.AddMilliseconds(-300)));
        Assert.Equal(Desk.Nine.AddSeconds(1), await desk.LookAtAsync(Desk.Nine));
    }

    [Fact]
    public async Task A_stopped_agent_s_time_starts_its_run_once_the_order_is_lifted()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("0 9 * * *") with { CatchUp = "1h" });
        await desk.Kills.OnAsync(new KillOrder(KillScope.Everything, null, "me", null, Desk.Nine), default);

        await desk.LookAtAsync("09:00:01");
        Assert.Empty(await desk.RunsAsync());
        Assert.Equal(ErrorCodes.KillSwitch, Assert.IsType<CreateRunOutcome.Refused>(await desk.Book.TriggerAsync("nightly", null, default)).Failure.Code);
        await desk.Kills.OffAsync(KillScope.Everything, null, default);
        await desk.LookAtAsync("09:05:00");

        Assert.Equal(["09:00:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task A_look_that_is_repeated_starts_nothing_again()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely);

        await desk.LookAtAsync("09:00:01");
        await desk.LookAtAsync("09:00:01");
        await desk.LookAtAsync("09:00:59");

        Assert.Equal(["09:00:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task A_clock_that_jumps_back_and_forth_starts_each_time_once()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely with { CatchUp = "2m" });

        foreach (var at in new[] { "09:00:00", "09:01:00", "08:00:00", "09:00:00", "09:01:30", "10:01:10", "09:02:00", "10:02:00" })
            await desk.LookAtAsync(at);

        Assert.Equal(["09:00:00", "09:01:00", "10:00:00", "10:01:00", "10:02:00"], await desk.TimesAsync());
        Assert.Equal("Warning schedule nightly: 58 times passed over from 2026-05-04T09:02:00Z on: later than the catch-up window allows", Assert.Single(desk.Log.Remarks));
    }

    [Fact]
    public async Task More_than_one_look_may_do_is_left_to_the_next_look_at_once()
    {
        var desk = new Desk();
        await desk.PutAsync(Some.Cron("* * * * * *") with { Overlap = "allow", CatchUp = "10m" });

        var again = await desk.LookAtAsync("09:03:00");

        Assert.Equal(Desk.Nine.AddMinutes(3), again);
        Assert.Equal(100, (await desk.RunsAsync()).Count);
        await desk.LookAtAsync("09:03:00");
        await desk.LookAtAsync("09:03:00");
        Assert.Equal(210, (await desk.TimesAsync()).Distinct().Count());
        Assert.Equal(210, (await desk.RunsAsync()).Count);
    }

    [Fact]
    public async Task Skip_starts_nothing_beside_a_living_run()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely with { Overlap = "skip" });
        await desk.LookAtAsync("09:00:00");
        var first = Assert.Single(await desk.RunsAsync());

        await desk.LookAtAsync("09:01:00");
        await desk.LookAtAsync("09:02:00");
        await desk.EndAsync(first.Id);
        await desk.LookAtAsync("09:03:00");

        Assert.Equal(["09:00:00", "09:03:00"], await desk.TimesAsync());
        Assert.Equal(2, desk.Log.Remarks.Count);
        Assert.Contains($"1 time passed over from 2026-05-04T09:01:00Z on: run {first.Id} of the time before has not ended", desk.Log.Remarks[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_queued_time_starts_when_the_run_before_ends_and_only_the_latest_waits()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely with { Overlap = "queue" });
        await desk.LookAtAsync("09:00:00");
        var first = Assert.Single(await desk.RunsAsync());
        for (var minute = 1; minute <= 30; minute++)
            await desk.LookAtAsync(Desk.Nine.AddMinutes(minute));
        Assert.Single(await desk.RunsAsync());

        desk.Clock.AdjustTime(Desk.Nine.AddMinutes(30).AddSeconds(40));
        await desk.EndAsync(first.Id);
        await desk.LookAtAsync("09:30:41");
        await desk.LookAtAsync("09:31:00");

        Assert.Equal(["09:00:00", "09:30:00"], await desk.TimesAsync());
        Assert.Equal(Desk.Nine.AddMinutes(31), (await desk.RecordAsync()).Next);
    }

    [Fact]
    public async Task Cancel_old_asks_the_run_before_to_end_in_the_write_that_starts_the_new_one()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely with { Overlap = "cancel_old" });
        await desk.LookAtAsync("09:00:00");
        var first = Assert.Single(await desk.RunsAsync());
        Assert.Equal([first.Id], desk.Signals.TakeDue());

        await desk.LookAtAsync("09:01:00");

        Assert.Equal(["09:00:00", "09:01:00"], await desk.TimesAsync());
        var input = Assert.Single(await desk.Store.ReadInboxAsync(first.Id, 10, default));
        Assert.Equal(InputKind.Cancel, input.Kind);
        var second = (await desk.RunsAsync())[1];
        Assert.Equal(new InputBody.Operator("schedule nightly", $"run {second.Id} takes its place", null), JournalJson.Read<InputBody.Operator>(input.Payload));
        Assert.Equal(new[] { first.Id, second.Id }.Order(), desk.Signals.TakeDue().Order());
        Assert.Empty(await desk.Store.ReadInboxAsync(second.Id, 10, default));
    }

    [Fact]
    public async Task What_cannot_start_is_said_once_tried_again_and_given_up_after_the_window()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely);
        desk.Models.Refusal = new Failure(ErrorCodes.ModelUnknown, "there is no provider 'mock'");
        var checks = desk.Models.Checks;

        for (var second = 0; second < 70; second++)
            await desk.LookAtAsync(Desk.Nine.AddSeconds(second));

        Assert.Equal("Warning schedule nightly: no run for 2026-05-04T09:00:00Z: model_unknown: there is no provider 'mock'", Assert.Single(desk.Log.Remarks));
        Assert.Equal(7, desk.Models.Checks - checks);
        Assert.Equal("model_unknown: there is no provider 'mock'", (await desk.Book.FindAsync("nightly", default))!.Detail);

        await desk.LookAtAsync(Desk.Nine.AddSeconds(75));
        Assert.Equal(3, desk.Log.Remarks.Count);
        Assert.Contains("1 time passed over from 2026-05-04T09:00:00Z on: later than", desk.Log.Remarks[1], StringComparison.Ordinal);
        desk.Models.Refusal = null;
        await desk.LookAtAsync(Desk.Nine.AddSeconds(90));

        Assert.Equal(["09:01:00"], await desk.TimesAsync());
        Assert.Null((await desk.Book.FindAsync("nightly", default))!.Detail);
    }

    [Fact]
    public async Task One_schedule_that_cannot_be_read_does_not_hold_up_another()
    {
        var desk = new Desk();
        await desk.PutAsync(Minutely);
        await desk.Store.PutScheduleAsync(new NewSchedule("broken", Some.Uid, "{}"u8.ToArray(), Desk.Nine, Desk.Nine.AddMinutes(-2), false), default);

        await desk.LookAtAsync("09:00:00");
        await desk.LookAtAsync("09:00:11");

        Assert.Equal(["09:00:00"], await desk.TimesAsync());
        Assert.Contains("schedule broken", Assert.Single(desk.Log.Remarks), StringComparison.Ordinal);
        Assert.Contains("schedule_invalid", (await desk.Book.FindAsync("broken", default))!.Detail, StringComparison.Ordinal);
    }

    /// <summary>I10. Both keepers read the schedule before either writes; the store takes one of the two.</summary>
    [Theory]
    [InlineData("allow")]
    [InlineData("skip")]
    [InlineData("queue")]
    [InlineData("cancel_old")]
    public async Task Two_keepers_that_race_start_one_run_for_each_time(string overlap)
    {
        var gate = new Gate(2);
        var desk = new Desk(gate);
        await desk.PutAsync(Minutely with { Overlap = overlap, CatchUp = "10m" });
        ScheduleKeeper[] keepers = [desk.Keeper, desk.NewKeeper()];

        for (var minute = 0; minute < 5; minute++)
        {
            desk.Clock.AdjustTime(Desk.Nine.AddMinutes(minute));
            gate.Arm();
            await Task.WhenAll(keepers.Select(keeper => keeper.TickAsync(desk.Clock.GetUtcNow(), default)));
            Assert.Equal(2, gate.Met);
            foreach (var run in await desk.Store.ListAsync(new RunFilter([RunStatus.Ready], null, null, 10), default))
                await desk.EndAsync(run.Id);
        }

        Assert.Equal(["09:00:00", "09:01:00", "09:02:00", "09:03:00", "09:04:00"], await desk.TimesAsync());
        Assert.Equal(5, desk.Log.All.Count);
    }

    /// <summary>I10. The keeper dies after it decided and before the store heard of it, or after the store did it and before the keeper knew.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_keeper_that_dies_at_the_write_leaves_one_run_for_the_time(bool afterCommit)
    {
        var death = new Death(afterCommit);
        var desk = new Desk(death);
        await desk.PutAsync(Minutely);
        desk.Clock.AdjustTime(Desk.Nine);

        death.Next = true;
        await Assert.ThrowsAsync<InvalidOperationException>(() => desk.Keeper.TickAsync(Desk.Nine, default));
        Assert.Equal(afterCommit ? 1 : 0, (await desk.RunsAsync()).Count);
        await desk.NewKeeper().TickAsync(Desk.Nine.AddSeconds(1), default);

        Assert.Equal(["09:00:00"], await desk.TimesAsync());
    }

    /// <summary>I10 at large: keepers that look at random, die at writes, under a clock that wanders, with runs that end at random.</summary>
    [Fact]
    public async Task However_keepers_die_and_clocks_wander_no_time_starts_twice()
    {
        var policies = new[] { "allow", "skip", "queue", "cancel_old" };
        await Gen.Select(Gen.Int[0, 3], Gen.Int[0, 5], Gen.Select(Gen.Int[-40, 90], Gen.Int[0, 9]).Array[5, 60]).SampleAsync(async (policy, jitter, moves) =>
        {
            var death = new Death(false);
            var desk = new Desk(death);
            await desk.PutAsync(Some.Cron("*/10 * * * * *") with { Overlap = policies[policy], Jitter = $"{jitter * 3}s" });
            var now = desk.Clock.GetUtcNow();
            foreach (var (seconds, what) in moves)
            {
                desk.Clock.AdjustTime(now = now.AddSeconds(seconds));
                if (what == 0)
                    await desk.PutAsync(Some.Cron("*/10 * * * * *") with { Overlap = policies[policy], Jitter = $"{jitter * 3}s", Paused = true });
                else if (what == 1)
                    await desk.Book.ResumeAsync("nightly", default);
                else if (what == 2 && (await desk.Store.ListAsync(new RunFilter([RunStatus.Ready], null, null, 1), default)) is [var run] && run.DueAt <= now)
                    await desk.EndAsync(run.Id);
                death.Next = what is 3 or 4;
                death.After = what == 4;
                try
                {
                    await desk.NewKeeper().TickAsync(now, default);
                }
                catch (InvalidOperationException)
                {
                    // It died; the next one goes on.
                }

                death.Next = false;
            }

            var times = (await desk.RunsAsync()).Select(r => r.Summary.Labels["schedule_time"]).ToList();
            return times.Count == times.Distinct().Count() && times.SequenceEqual(times.Order(StringComparer.Ordinal));
        }, iter: 200);
    }

    [Fact]
    public async Task A_started_keeper_works_by_itself_and_stops()
    {
        var fired = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var desk = new Desk(new Watch("fire", fired));
        await desk.PutAsync(Minutely);
        desk.Clock.AdjustTime(Desk.Nine);

        await using (var keeper = desk.NewKeeper())
        {
            keeper.Start();
            await fired.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System);
        }

        Assert.Equal(["09:00:00"], await desk.TimesAsync());
    }

    [Fact]
    public async Task A_keeper_that_may_not_act_starts_nothing_and_one_whose_store_fails_goes_on()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var desk = new Desk();
        await desk.PutAsync(Minutely);
        desk.Clock.AdjustTime(Desk.Nine);
        var times = 0;
        await using var keeper = desk.NewKeeper(mayAct: () => Interlocked.Increment(ref times) switch
        {
            1 => false,
            2 => throw new CaissonException(ErrorCodes.StorageFailed, "the store does not answer"),
            _ => asked.TrySetResult(),
        });
        keeper.Start();

        // The loop sleeps on the fake clock; it is moved until the third look.
        while (!asked.Task.IsCompleted)
        {
            desk.Clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        await keeper.DisposeAsync();
        Assert.Single(desk.Log.Remarks, line => line.StartsWith("Error the look for due schedules failed", StringComparison.Ordinal));
    }

    /// <summary>Holds the writes of a number of keepers until all of them have come, so that each decided on the same.</summary>
    private sealed class Gate(int parties) : IStoreFaults
    {
        private TaskCompletionSource? _open;
        private int _waiting;

        internal int Met => _waiting;

        internal void Arm()
        {
            _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting = 0;
        }

        public async ValueTask BeforeAsync(string operation, RunId? run)
        {
            if (operation != "fire" || _open is not { } open)
                return;
            if (Interlocked.Increment(ref _waiting) == parties)
                open.SetResult();
            await open.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System);
        }

        public ValueTask AfterCommitAsync(string operation, RunId? run) => default;
    }

    private sealed class Death(bool after) : IStoreFaults
    {
        internal bool Next { get; set; }

        internal bool After { get; set; } = after;

        public ValueTask BeforeAsync(string operation, RunId? run) => Die(operation, !After);

        public ValueTask AfterCommitAsync(string operation, RunId? run) => Die(operation, After);

        private ValueTask Die(string operation, bool here)
        {
            if (operation != "fire" || !here || !Next)
                return default;
            Next = false;
            throw new InvalidOperationException("the keeper's process is gone");
        }
    }

    private sealed class Watch(string operation, TaskCompletionSource seen) : IStoreFaults
    {
        public ValueTask BeforeAsync(string name, RunId? run) => default;

        public ValueTask AfterCommitAsync(string name, RunId? run)
        {
            if (name == operation)
                seen.TrySetResult();
            return default;
        }
    }
}
