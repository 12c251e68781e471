using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Budgets;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class KillSwitchTests : EngineTestBase
{
    private const string Loop = "name: loop\nloop: {model: mock/m, instructions: go}\n";

    private static KillOrder Order(KillScope scope, string? name = null) => new(scope, name, "me", "it misbehaves", new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    [Fact]
    public async Task A_stopped_agent_s_step_is_interrupted_and_its_run_pauses_while_others_go_on()
    {
        var (gate, free) = (new Gate(), new Gate());
        var server = await StartAsync(Steps(2, "a", gate));
        server.Register("worker", async context =>
        {
            await StepAsync(context, "worker", free.PassAsync);
            return "done";
        });
        var run = await server.CreateAsync(Manifest);
        var other = await server.CreateAsync("name: worker\ncode: worker\n");
        await gate.Reached;
        await free.Reached;

        Assert.Null(await server.Kills.OnAsync(Order(KillScope.Agent, "test"), default));

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Operator, "kill switch: agent 'test' is stopped by me: it misbehaves"), (paused.Paused, paused.Summary.Detail));
        free.Open();
        await server.UntilAsync(other, RunStatus.Completed);

        // Nothing of it starts or goes on while the order stands.
        Assert.Equal(ErrorCodes.KillSwitch, Assert.IsType<InputOutcome.Refused>(await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default)).Failure.Code);
        Assert.Equal(ErrorCodes.KillSwitch, Assert.IsType<OperationOutcome.Refused>(await server.Operations.RetryAsync(run, "me", default)).Failure.Code);
        Assert.Equal(ErrorCodes.KillSwitch, Assert.IsType<CreateRunOutcome.Refused>(await server.Runs.CreateAsync(new CreateRun(Manifest, "m", "", new RunOverrides(), new Dictionary<string, string>(), null), default)).Failure.Code);

        // Lifted, it waits for somebody; then the interrupted step runs again.
        Assert.Equal((true, null), await server.Kills.OffAsync(KillScope.Agent, "test", default));
        Assert.Equal(RunStatus.Paused, (await server.Store.FindAsync(run, default))!.Status);
        gate.Open();
        Assert.Equal(1, await server.Runs.ResumeKilledAsync(KillScope.Agent, "test", "me", default));
        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "a", "b"], Executed.Where(name => name != "worker"));
    }

    [Fact]
    public async Task An_order_outlives_the_process_and_holds_before_anything_of_the_next_one_happens()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var executed = Executed.Count;

        var next = await StartAsync(Steps(3), before: async s => await new KillSwitches(s.Store, TimeProvider.System).OnAsync(Order(KillScope.Tenant, BudgetNodes.DefaultTenant), default));

        Assert.Equal(PauseCause.Operator, (await next.UntilAsync(run, RunStatus.Paused)).Paused);
        Assert.Equal(executed, Executed.Count);
    }

    [Fact]
    public async Task A_call_that_is_paid_for_brings_its_answer_and_no_other_is_bought()
    {
        var gate = new Gate();
        var model = new BusyModel { Act = turn => turn == "turn 1" ? gate.PassAsync() : Task.CompletedTask };
        var server = await StartAsync(models: model);
        var run = await server.CreateAsync(Loop);
        await gate.Reached;

        await server.Kills.OnAsync(Order(KillScope.Everything), default);
        gate.Open();

        var paused = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((2, 2L, 0L, 0L), (model.Sent.Count, paused.Summary.ModelCalls, paused.Tokens.Held, paused.Tokens.InDoubt));
    }

    [Fact]
    public async Task A_run_that_waits_pauses_when_its_input_comes()
    {
        var server = await StartAsync(async context =>
        {
            var signal = await context.WaitForSignalAsync("go");
            await StepAsync(context, "after");
            return signal!.Payload;
        }, options: new EngineOptions { HoldWaiting = TimeSpan.Zero });
        var run = await server.CreateAsync(Manifest);
        await server.UntilAsync(run, r => r is { Status: RunStatus.Waiting, Owner: null }, "waits unloaded");
        await server.Kills.OnAsync(Order(KillScope.Everything), default);

        await server.Operations.SignalAsync(run, "go", "1"u8.ToArray(), null, "me", default);

        await server.UntilAsync(run, RunStatus.Paused);
        Assert.Empty(Executed);
        await server.Kills.OffAsync(KillScope.Everything, null, default);
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        // The signal was accepted and is not lost.
        Assert.Equal("1", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task A_parent_pauses_where_its_child_s_agent_is_stopped_and_starts_it_after_the_resume()
    {
        var gate = new Gate();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "before", gate.PassAsync);
            var child = await context.SpawnAsync(new ChildSpec("child", "x"));
            return $"{(await child.Ended).Result}";
        });
        server.Register("child", Steps(1));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.Kills.OnAsync(Order(KillScope.Agent, "child"), default);
        gate.Open();

        Assert.StartsWith("kill switch: a child", (await server.UntilAsync(run, RunStatus.Paused)).Summary.Detail, StringComparison.Ordinal);
        await server.Kills.OffAsync(KillScope.Agent, "child", default);
        await server.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        Assert.Equal("done", (await server.UntilAsync(run, RunStatus.Completed)).Summary.Result);
    }

    [Fact]
    public async Task Lifting_resumes_neither_what_people_paused_nor_what_another_order_stops()
    {
        var gates = Enumerable.Range(0, 3).Select(_ => new Gate()).ToList();
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, context.Input, gates[int.Parse(context.Input, System.Globalization.CultureInfo.InvariantCulture)].PassAsync);
            await StepAsync(context, "after");
            return "done";
        });
        server.Register("worker", async context =>
        {
            await StepAsync(context, "2", gates[2].PassAsync);
            return "done";
        });
        var (killed, byHand, twice) = (await server.CreateAsync(Manifest, "0"), await server.CreateAsync(Manifest, "1"), await server.CreateAsync("name: worker\ncode: worker\n"));
        await Task.WhenAll(gates.Select(gate => gate.Reached));
        await server.Runs.PauseAsync(byHand, "me", null, default);
        await server.Sessions[byHand].Inbox.DrainAsync();
        gates[1].Open();
        await server.UntilAsync(byHand, RunStatus.Paused);
        await server.Kills.OnAsync(Order(KillScope.Agent, "worker"), default);
        await server.Kills.OnAsync(Order(KillScope.Everything), default);
        await server.UntilAsync(killed, RunStatus.Paused);
        await server.UntilAsync(twice, RunStatus.Paused);
        foreach (var gate in gates)
            gate.Open();

        await server.Kills.OffAsync(KillScope.Everything, null, default);

        Assert.Equal(1, await server.Runs.ResumeKilledAsync(KillScope.Everything, null, "me", default));
        await server.UntilAsync(killed, RunStatus.Completed);
        Assert.Equal((RunStatus.Paused, RunStatus.Paused), ((await server.Store.FindAsync(byHand, default))!.Status, (await server.Store.FindAsync(twice, default))!.Status));
    }

    [Fact]
    public async Task An_order_that_cannot_be_read_stops_everything_and_is_not_overwritten()
    {
        var server = await StartAsync(Steps(1), before: async s => await s.Store.ReplaceKillSwitchAsync(default, "{\"schema\":9}"u8.ToArray(), default));

        Assert.Equal(ErrorCodes.KillSwitch, Assert.IsType<CreateRunOutcome.Refused>(await server.Runs.CreateAsync(new CreateRun(Manifest, "m", "", new RunOverrides(), new Dictionary<string, string>(), null), default)).Failure.Code);
        Assert.Equal(ErrorCodes.ConfigInvalid, (await server.Kills.OnAsync(Order(KillScope.Everything), default))?.Code);
    }

    [Fact]
    public async Task Another_process_s_order_is_seen_at_the_next_look()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(1, "a", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await new KillSwitches(server.Store, TimeProvider.System).OnAsync(Order(KillScope.Everything), default);

        await server.UntilAsync(run, RunStatus.Paused);
    }
}
