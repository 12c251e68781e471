using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Operations;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>Forks on the real store: what becomes of effects that the run they come from has had, or was having.</summary>
public sealed class ForkTests : EngineTestBase
{
    private static readonly StepOptions<string> s_once = new() { Effect = EffectClass.AtMostOnce };

    [Theory]
    [InlineData(ForkEffects.FromRecord, "sent", 1)]
    [InlineData(ForkEffects.DryRun, "failed dry_run", 1)]
    [InlineData(ForkEffects.Live, "sent", 2)]
    public async Task An_effect_after_the_place_is_answered_as_the_fork_was_asked_to(ForkEffects effects, string result, int executions)
    {
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a");
            return await SendAsync(context);
        });
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Completed);

        var fork = await ForkAsync(server, run, EntryKind.StepCompleted, effects);

        Assert.Equal(result, (await server.UntilAsync(fork, RunStatus.Completed)).Summary.Result);
        Assert.Equal((1, executions), (Executed.Count(s => s == "a"), Executed.Count(s => s == "send")));
    }

    [Fact]
    public async Task An_effect_that_was_found_done_in_the_origin_is_in_the_record_too()
    {
        var gate = new Gate();
        var options = new StepOptions<string> { Effect = EffectClass.AtMostOnce, Verify = _ => Task.FromResult(new EffectCheck<string>(EffectState.Done, "looked up")) };
        Func<IRunContext, Task<string>> agent = async context =>
        {
            await StepAsync(context, "a");
            return await SendAsync(context, options, gate);
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var next = await StartAsync(agent);
        await next.UntilAsync(run, RunStatus.Completed);

        var fork = await ForkAsync(next, run, EntryKind.StepCompleted, ForkEffects.FromRecord);

        Assert.Equal("looked up", (await next.UntilAsync(fork, RunStatus.Completed)).Summary.Result);
        Assert.Equal(1, Executed.Count(s => s == "send"));
    }

    [Fact]
    public async Task An_effect_that_is_open_in_the_origin_is_unknown_in_a_fork_that_answers_from_it()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a");
            return await SendAsync(context, s_once, gate);
        });
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        var fork = await ForkAsync(server, run, EntryKind.StepCompleted, ForkEffects.FromRecord);

        Assert.Equal("failed step_unknown", (await server.UntilAsync(fork, RunStatus.Completed)).Summary.Result);
        Assert.Contains(EntryKind.StepUnknown, await server.KindsAsync(fork));
        gate.Open();
        Assert.Equal("sent", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Equal(1, Executed.Count(s => s == "send"));
    }

    [Fact]
    public async Task An_effect_that_is_open_at_the_place_of_the_fork_begins_there_as_unknown()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            var sent = SendAsync(context, s_once, gate);
            await context.WaitForSignalAsync("go");
            return await sent;
        });
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Operations.SignalAsync(run, "go", default, null, null, default);
        await server.UntilAsync(run, r => r.LastSeq >= 4, "has taken its signal");

        var fork = await ForkAsync(server, run, EntryKind.SignalConsumed, ForkEffects.Live);

        Assert.Equal("failed step_unknown", (await server.UntilAsync(fork, RunStatus.Completed)).Summary.Result);
        gate.Open();
        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(1, Executed.Count(s => s == "send"));
    }

    [Fact]
    public async Task The_origin_is_kept_as_long_as_its_fork_lives()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "a");
            if (context.Manifest.Name == "test" && Executed.Count > 1)
                await gate.PassAsync();
            return await SendAsync(context);
        });
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, RunStatus.Completed);

        var fork = await ForkAsync(server, run, EntryKind.StepCompleted, ForkEffects.FromRecord);

        Assert.Equal(run, (await server.Store.FindAsync(fork, default))!.Origin);
        await gate.Reached;
        Assert.False(await server.Store.DeleteRunAsync(run, default));
        gate.Open();
        await server.UntilAsync(fork, RunStatus.Completed);
        Assert.True(await server.Store.DeleteRunAsync(run, default));
        Assert.Equal(1, Executed.Count(s => s == "send"));
    }

    private Task<string> SendAsync(IRunContext context) => SendAsync(context, s_once, null);

    private async Task<string> SendAsync(IRunContext context, StepOptions<string> options, Gate? gate)
    {
        try
        {
            return await context.StepAsync("send", async step =>
            {
                Executed.Enqueue("send");
                if (gate is not null)
                    await gate.PassAsync(step.Cancellation);
                return "sent";
            }, options);
        }
        catch (StepFailedException failed)
        {
            return "failed " + failed.Failure.Code;
        }
    }

    /// <summary>At the first entry of a kind.</summary>
    private static async Task<RunId> ForkAsync(TestServer server, RunId run, EntryKind at, ForkEffects effects)
    {
        var place = (await server.JournalAsync(run)).First(e => e.Kind == at).Seq;
        return Assert.IsType<Core.Lifecycle.CreateRunOutcome.Accepted>(await server.Operations.ForkAsync(run, new ForkSpec(place, null, new RunOverrides(), effects, Admin: false), null, default)).Run;
    }
}
