using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>What an engine does where a policy decides: limits of a tree, questions, drift, a restored database.</summary>
public sealed class PolicyTests : EngineTestBase
{
    [Fact]
    public async Task A_child_s_steps_count_on_its_parent_s_cap()
    {
        var server = await StartAsync(async context =>
        {
            await StepAsync(context, "own");
            var child = await context.SpawnAsync(new ChildSpec("child", "three"));
            return $"{(await child.Ended).Status}";
        });
        server.Register("child", Steps(3));

        var run = await server.CreateAsync("name: test\ncode: test\nlimits: {steps: 3}");

        // One step of the parent and two of the child: the child's third passes the parent's cap, and only that.
        var child = await ChildOfAsync(server, run);
        var stopped = await server.UntilAsync(child, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, 2L), (stopped.Paused, stopped.Summary.Steps));
        Assert.Contains($"run:{run}", stopped.Summary.Detail, StringComparison.Ordinal);
        Assert.Equal(["own", "a", "b"], Executed);
    }

    [Fact]
    public async Task A_yes_to_the_question_at_a_limit_raises_it_and_the_run_goes_on()
    {
        var server = await StartAsync(Steps(3));
        var run = await server.CreateAsync("name: test\ncode: test\nlimits: {steps: 2, on_limit: ask}");
        await server.UntilAsync(run, RunStatus.Paused);
        var question = (await server.JournalAsync(run)).Single(e => e.Kind == EntryKind.ApprovalRequested);

        await server.Store.PostAsync(new NewInput(run, "yes", InputKind.Approval, JournalJson.Write(new InputBody.Approval(question.Key!, true, "me", null))), default);
        server.Wake(run);

        await server.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "b", "c"], Executed);
    }

    [Fact]
    public async Task A_harmless_drift_goes_on_the_new_way_where_the_manifest_says_so()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync("name: test\ncode: test\non_drift: live");
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();

        var next = await StartAsync(async context =>
        {
            await StepAsync(context, "x");
            return "another way";
        });

        Assert.Equal("another way", (await next.UntilAsync(run, RunStatus.Completed)).Summary.Result);
        Assert.Contains(EntryKind.Drift, await next.KindsAsync(run));
        Assert.Equal("x", Executed.Last());
    }

    [Fact]
    public async Task A_run_at_work_without_a_completed_step_for_too_long_is_paused()
    {
        var clock = new Microsoft.Extensions.Time.Testing.FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "b", gate), clock);
        var run = await server.CreateAsync("name: test\ncode: test\nlimits: {no_progress: 10m}");
        await gate.Reached;

        clock.Advance(TimeSpan.FromMinutes(11));

        var record = await server.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Budget, LimitDimension.NoProgress), (record.Paused, record.Summary.LimitAt));
    }

    [Fact]
    public async Task Runs_of_a_restored_database_stand_paused_before_anything_of_them_happens()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var executed = Executed.Count;

        var next = await StartAsync(Steps(3), before: s => s.Runs.PauseRestoredAsync(default));

        Assert.Equal(PauseCause.Restored, (await next.UntilAsync(run, RunStatus.Paused)).Paused);
        Assert.Equal(executed, Executed.Count);
        await next.Runs.ResumeAsync(run, "me", new RunOverrides(), default);
        await next.UntilAsync(run, RunStatus.Completed);
    }

    private static async Task<RunId> ChildOfAsync(TestServer server, RunId parent)
    {
        await server.UntilAsync(parent, r => r.Summary.Children == 1, "has a child");
        var spawned = (await server.JournalAsync(parent)).Single(e => e.Kind == EntryKind.ChildSpawned);
        return RunId.Parse(JournalJson.Read<EntryBody.ChildSpawned>(spawned.Body).Child);
    }
}
