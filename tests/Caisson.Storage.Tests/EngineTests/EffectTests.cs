using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Steps that must not happen twice, and what becomes of them when their server dies in the middle.</summary>
public sealed class EffectTests : EngineTestBase
{
    [Fact]
    public async Task An_interrupted_effect_is_reported_to_the_agent_and_never_executed_again()
    {
        var (next, run) = await InterruptedAsync(new() { Effect = EffectClass.AtMostOnce });

        Assert.Equal("failed step_unknown", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(["send"], Executed);
    }

    [Theory]
    [InlineData(EffectState.Done, "looked up", 1)]
    [InlineData(EffectState.NotDone, "sent", 2)]
    [InlineData(EffectState.CannotTell, "failed step_unknown", 1)]
    public async Task A_check_decides_what_becomes_of_an_interrupted_effect(EffectState found, string result, int executions)
    {
        var (next, run) = await InterruptedAsync(new() { Effect = EffectClass.AtMostOnce, Verify = _ => Task.FromResult(new EffectCheck<string>(found, "looked up")) });

        Assert.Equal(result, (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(executions, Executed.Count);
    }

    [Theory]
    [InlineData("done", "by hand", 1)]
    [InlineData("not_done", "sent", 2)]
    [InlineData("skip", "failed step_unknown", 1)]
    public async Task A_person_decides_where_the_step_asks_for_one(string how, string result, int executions)
    {
        var (next, run) = await InterruptedAsync(new() { Effect = EffectClass.AtMostOnce, OnUnknown = UnknownPolicy.AskHuman });
        var paused = await next.UntilAsync(run, RunStatus.Paused);
        Assert.Equal(PauseCause.Unknown, paused.Paused);

        JsonElement? set = how == "done" ? JsonSerializer.SerializeToElement("by hand") : null;
        Assert.IsType<Core.Operations.OperationOutcome.Accepted>(await next.Operations.ResolveAsync(run, new ResolveRequest(How: how, Result: set, Step: (await next.JournalAsync(run)).Last(e => e.Kind == EntryKind.StepUnknown).Key!, By: "ann"), default));

        Assert.Equal(result, (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(executions, Executed.Count);
    }

    [Fact]
    public async Task An_interrupted_effect_that_can_be_undone_is_undone()
    {
        var undone = 0;
        var (next, run) = await InterruptedAsync(new()
        {
            Effect = EffectClass.Compensable,
            OnUnknown = UnknownPolicy.Compensate,
            Undo = _ =>
            {
                undone++;
                return Task.CompletedTask;
            },
        });

        Assert.Equal("failed step_compensated", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal((1, 1), (undone, Executed.Count));
    }

    [Fact]
    public async Task An_effect_that_fails_in_an_unforeseen_way_is_doubtful_and_not_tried_again()
    {
        var server = await StartAsync(context => SendAsync(context, _ => throw new InvalidOperationException("oops"), new() { Effect = EffectClass.AtMostOnce }));

        var run = await server.CreateAsync(Manifest);

        Assert.Equal("failed step_unknown", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(["send"], Executed);
        Assert.Equal([EntryKind.StepStarted, EntryKind.StepUnknown, EntryKind.StepResolved, EntryKind.RunEnded], (await server.KindsAsync(run)).TakeLast(4));
    }

    [Fact]
    public async Task A_failure_that_the_author_knows_is_the_steps_result()
    {
        var server = await StartAsync(context => SendAsync(context, _ => throw new StepFailedException(new Failure("no_money", "no")), new() { Effect = EffectClass.AtMostOnce }));

        var run = await server.CreateAsync(Manifest);

        Assert.Equal("failed no_money", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal([EntryKind.StepStarted, EntryKind.StepCompleted, EntryKind.RunEnded], (await server.KindsAsync(run)).TakeLast(3));
    }

    [Fact]
    public async Task A_key_of_the_authors_own_that_is_used_twice_is_an_error()
    {
        var server = await StartAsync(async context =>
        {
            await context.StepAsync("a", _ => Task.FromResult(1), new StepOptions<int> { Key = "k" });
            await context.StepAsync("b", _ => Task.FromResult(2), new StepOptions<int> { Key = "k" });
            return "";
        });

        var failed = await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Failed);

        Assert.Contains("'k' was used before", failed.Summary.Failure!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_result_above_the_limit_is_refused_and_the_agent_is_told()
    {
        var server = await StartAsync(async context =>
        {
            try
            {
                return await context.StepAsync("big", _ => Task.FromResult(new string('x', 17 << 20)));
            }
            catch (StepFailedException failed)
            {
                return failed.Failure.Code;
            }
        });

        Assert.Equal(ErrorCodes.PayloadTooLarge, (await server.UntilAsync(await server.CreateAsync(Manifest), RunStatus.Completed)).Summary.Result);
    }

    private async Task<(TestServer Next, RunId Run)> InterruptedAsync(StepOptions<string> options)
    {
        var gate = new Gate();
        Func<IRunContext, Task<string>> agent = context => SendAsync(context, gate.PassAsync, options);
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        return (await StartAsync(agent), run);
    }

    private async Task<string> SendAsync(IRunContext context, Func<CancellationToken, Task> body, StepOptions<string> options)
    {
        try
        {
            return await context.StepAsync("send", async step =>
            {
                Executed.Enqueue("send");
                await body(step.Cancellation);
                return "sent";
            }, options);
        }
        catch (StepFailedException failed)
        {
            return "failed " + failed.Failure.Code;
        }
    }
}
