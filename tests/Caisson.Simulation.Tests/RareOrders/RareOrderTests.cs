using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;

namespace Caisson.Simulation.Tests.RareOrders;

/// <summary>Faults that seeds of the simulation found, each in the order that it needs.</summary>
public sealed class RareOrderTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    /// <summary>The turn has nothing left to do just while the cancel is written: the run was released with it, and nothing was due.</summary>
    [Fact]
    public void A_cancel_that_is_taken_over_while_its_run_is_unloaded_is_obeyed()
    {
        var stage = new Stage();
        stage.Create();
        stage.Start(async context => (await context.WaitForSignalAsync("go"))!.Payload, hold: 2 * Second);
        stage.Until(() => stage.Record.Status == RunStatus.Waiting);
        stage.Gate.Holds = unit => unit.Entries.Any(e => e.Kind == EntryKind.CancelRequested);
        stage.Post((InputKind.Cancel, Stage.By("me")));
        stage.Until(() => stage.Gate.Holding);
        stage.Wait(4 * Second);

        stage.Gate.Open();

        stage.Until(() => stage.Record.Status == RunStatus.Cancelled);
    }

    /// <summary>Who waits for the next attempt gives up, and the reason is gone before the turn asks for it: the engine died of that.</summary>
    [Fact]
    public void A_pause_that_is_taken_back_in_a_back_off_changes_nothing()
    {
        for (var seed = 1UL; seed <= 40; seed++)
        {
            var stage = new Stage(seed);
            stage.Create();
            stage.Start(context => context.StepAsync("busy", step => step.Attempt < 4 ? throw new InvalidOperationException("not yet") : Task.FromResult("done")));
            stage.Until(() => stage.Record.Waiting == WaitReason.Retry);

            stage.Post((InputKind.Pause, Stage.By("me")), (InputKind.Resume, Stage.By("me")));

            stage.Until(() => stage.Record.Status == RunStatus.Completed);
        }
    }

    /// <summary>The child was there before its parent had heard so: its end was taken for somebody else's.</summary>
    [Fact]
    public void A_child_that_ends_before_its_spawn_is_acknowledged_has_ended_for_its_parent()
    {
        var stage = new Stage();
        stage.Create();
        stage.Gate.Holds = unit => unit.Entries.Any(e => e.Kind == EntryKind.ChildSpawned);
        stage.Start(async context => context.Input == "child" ? "" : $"{(await (await context.SpawnAsync(new ChildSpec("test", "child"))).Ended).Status}");
        stage.Until(() => stage.Store.Snapshot().Runs.Values.Any(run => run.Record.Status == RunStatus.Completed));
        stage.Wait(2 * Second);

        stage.Gate.Open();

        stage.Until(() => stage.Record.Status == RunStatus.Completed);
    }

    /// <summary>A person may have read the question before its owner heard that it stands.</summary>
    [Fact]
    public void An_answer_that_comes_before_its_question_is_acknowledged_counts()
    {
        var stage = new Stage();
        stage.Create();
        stage.Gate.Holds = unit => unit.Entries.Any(e => e.Kind == EntryKind.ApprovalRequested);
        stage.Start(async context => $"{(await context.ApproveAsync("may I?")).Approved}");
        stage.Until(() => stage.Gate.Holding);
        stage.Post((InputKind.Approval, Stage.Yes(stage.Journal[^1].Key!)));
        stage.Wait(2 * Second);

        stage.Gate.Open();

        stage.Until(() => stage.Record.Status == RunStatus.Completed);
    }

    /// <summary>It has no due time before it has begun: unloaded meanwhile, nothing would ever wake it.</summary>
    [Fact]
    public void A_wait_that_may_not_begin_yet_is_not_unloaded()
    {
        var door = new Door();
        var stage = new Stage();
        stage.Create();
        stage.Start(async context =>
        {
            await context.StepAsync("close", () =>
            {
                door.Refusal = "the disk is full";
                return Task.FromResult(1);
            });
            await context.SleepAsync(10 * Second);
            return "done";
        }, hold: 2 * Second, admission: door);
        stage.Until(() => door.Refusal is not null);
        stage.Wait(20 * Second);

        door.Refusal = null;

        stage.Until(() => stage.Record.Status == RunStatus.Completed);
    }

    /// <summary>The start was journaled, and its answer came when the lease was over: by then another node may have found that nothing happened.</summary>
    [Fact]
    public void A_step_does_not_begin_on_a_lease_that_is_over()
    {
        for (var seed = 1UL; seed <= 40; seed++)
        {
            var stage = new Stage(seed);
            var begun = new List<bool>();
            stage.Create();
            stage.Gate.Holds = unit => unit.Entries.Any(e => e.Kind == EntryKind.StepStarted);
            stage.Start(context => context.StepAsync("once", _ =>
            {
                begun.Add(stage.Engine.Ready);
                return Task.FromResult("done");
            }, new StepOptions<string> { Effect = EffectClass.AtMostOnce }));
            stage.Until(() => stage.Gate.Holding);
            stage.Process.Frozen = true;
            stage.Wait(10 * Second);

            stage.Gate.Open();
            stage.Process.Frozen = false;

            stage.Until(() => stage.Record.Status == RunStatus.Completed);
            Assert.Equal([true], begun);
        }
    }

    /// <summary>It is in the journal before the snapshot, which was asked for when the agent could not know of it.</summary>
    [Fact]
    public void A_signal_that_was_there_before_the_start_outlives_a_snapshot()
    {
        static async Task<string> AgentAsync(IRunContext context)
        {
            if (context.Saved is null)
            {
                await context.SnapshotAsync(new byte[] { 1 });
                await context.SleepAsync(5 * Second);
            }

            return (await context.WaitForSignalAsync("go"))!.Payload;
        }

        var stage = new Stage();
        stage.Create();
        stage.Post((InputKind.Signal, Stage.Signal("go")));
        stage.Start(AgentAsync);
        stage.Until(() => stage.Record.Waiting == WaitReason.Timer);
        stage.Process.Kill();

        stage.Start(AgentAsync);

        stage.Until(() => stage.Record.Status == RunStatus.Completed);
    }

    /// <summary>An answer that nobody will take is no reason to look again and again.</summary>
    [Fact]
    public void An_agent_that_leaves_a_long_step_behind_keeps_nobody_busy_until_it_ends()
    {
        var stage = new Stage();
        stage.Create();
        stage.Start(async context =>
        {
            var first = context.StepAsync("first", () => Task.FromResult("done"));
            _ = context.StepAsync("second", async _ =>
            {
                await stage.Process.DelayAsync(Second);
                return "late";
            });
            _ = context.StepAsync("third", async _ =>
            {
                await stage.Process.DelayAsync(30 * Second);
                return "later";
            });
            return await first;
        });

        stage.Until(() => stage.Record.Status == RunStatus.Completed);
    }

    [Fact]
    public void A_paused_run_that_takes_a_signal_still_says_why_it_is_paused()
    {
        var stage = new Stage();
        stage.Create();
        stage.Start(async context => (await context.WaitForSignalAsync("go"))!.Payload);
        stage.Until(() => stage.Record.Status == RunStatus.Waiting);
        stage.Post((InputKind.Pause, Stage.By("me")));
        stage.Until(() => stage.Record is { Status: RunStatus.Paused, Owner: null });

        stage.Post((InputKind.Signal, Stage.Signal("go")));

        stage.Until(() => stage.Kinds.Contains(EntryKind.SignalConsumed));
        Assert.Equal("paused by me", stage.Record.Summary.Detail);
    }

    private sealed class Door : IAdmission
    {
        public string? Refusal { get; set; }
    }
}
