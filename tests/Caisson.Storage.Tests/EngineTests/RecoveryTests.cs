using System.Text;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Tests.EngineTests;

public sealed class RecoveryTests : EngineTestBase
{
    [Fact]
    public async Task The_next_engine_goes_on_where_the_last_one_was_stopped()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(5, "c", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await server.StopHardAsync();
        gate.Open();
        var next = await StartAsync(Steps(5, "c", gate));

        var record = await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "b", "c", "c", "d", "e"], Executed);
        Assert.Equal((2L, 5L), (record.Epoch, record.Summary.Steps));
        Assert.Equal(5, (await next.KindsAsync(run)).Count(k => k == EntryKind.StepCompleted));
    }

    [Fact]
    public async Task Steps_that_were_interrupted_side_by_side_are_executed_again_and_only_they()
    {
        var gate = new Gate();
        Func<Core.Agents.IRunContext, Task<string>> agent = async context =>
        {
            await Task.WhenAll(StepAsync(context, "quick"), StepAsync(context, "slow", gate.PassAsync), StepAsync(context, "also quick"));
            return "done";
        };
        var server = await StartAsync(agent);
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.UntilAsync(run, r => r.Summary.Steps == 2, "has two steps");

        await server.StopHardAsync();
        gate.Open();
        var next = await StartAsync(agent);

        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["also quick", "quick", "slow", "slow"], Executed.Order());
    }

    [Fact]
    public async Task A_drain_lets_the_step_finish_and_the_next_engine_goes_on()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(4, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        var drained = server.Engine.DrainAsync(TimeSpan.FromSeconds(20));
        Assert.False(server.Engine.Ready);
        await server.UntilAsync(run, _ => server.CurrentStep(run)?.Contains("drain", StringComparison.Ordinal) == true, "is asked to stop");
        gate.Open();
        await drained;

        var record = await server.Store.FindAsync(run, default);
        Assert.Equal((RunStatus.Ready, null, 2L), (record!.Status, record.Owner, record.Summary.Steps));
        await server.StopHardAsync();
        var next = await StartAsync(Steps(4));
        Assert.Equal(2, (await next.UntilAsync(run, RunStatus.Completed)).Epoch);
        Assert.Equal(["a", "b", "c", "d"], Executed);
    }

    [Fact]
    public async Task A_drain_that_takes_too_long_leaves_the_step_to_recovery()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(2, "a", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;

        await server.Engine.DrainAsync(TimeSpan.FromMilliseconds(1));

        await server.StopHardAsync();
        gate.Open();
        var next = await StartAsync(Steps(2));
        await next.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "a", "b"], Executed);
    }

    [Fact]
    public async Task An_agent_that_asks_for_something_else_than_the_journal_has_is_paused()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();

        var next = await StartAsync(async context =>
        {
            await context.StepAsync<int>("a", _ => throw new InvalidOperationException("was executed"), new() { Arguments = "other arguments" });
            return "done";
        });

        var record = await next.UntilAsync(run, RunStatus.Paused);
        Assert.Equal((PauseCause.Drift, null), (record.Paused, record.Owner));
        Assert.Equal([EntryKind.Drift, EntryKind.Paused], (await next.KindsAsync(run)).TakeLast(2));
        Assert.Equal(3, JournalJson.Read<EntryBody.Drift>((await next.JournalAsync(run))[^2].Body).Report.Seq);
    }

    [Fact]
    public async Task After_a_drift_was_mended_a_resume_goes_on()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        gate.Open();
        var drifting = await StartAsync(async context =>
        {
            await context.StepAsync<int>("a", _ => throw new InvalidOperationException("was executed"));
            return "done";
        });
        await drifting.UntilAsync(run, RunStatus.Paused);
        await drifting.StopHardAsync();

        var mended = await StartAsync(Steps(3));
        await mended.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        await mended.UntilAsync(run, RunStatus.Completed);
        Assert.Equal(["a", "b", "b", "c"], Executed);
    }

    public static TheoryData<string, string> Damages => new()
    {
        { "a body that is no JSON", "UPDATE journal SET body = x'7b22' WHERE seq = 3" },
        { "an entry that is gone", "DELETE FROM journal WHERE seq = 3" },
        { "a first entry of another kind", "UPDATE journal SET kind = 10 WHERE seq = 1" },
        { "a blob that is gone", "UPDATE journal SET blob = 'ab' || hex(zeroblob(31)), payload = NULL WHERE seq = 3" },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_run_whose_journal_is_damaged_is_paused_and_the_others_go_on(string what, string damage)
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var broken = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        Damage(damage, broken);
        gate.Open();

        var next = await StartAsync(Steps(3));
        var sound = await next.CreateAsync(Manifest);

        var record = await next.UntilAsync(broken, RunStatus.Paused);
        Assert.True(record.Paused == PauseCause.Corrupt && record.Owner is null && record.Summary.Detail is not null, $"{what}: {record}");
        await next.UntilAsync(sound, RunStatus.Completed);
        Assert.True(next.Engine.Ready);
    }

    /// <summary>Inputs for a run that cannot be read must not wake it over and over.</summary>
    [Fact]
    public async Task A_damaged_run_takes_its_inputs_once_and_sleeps_again()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        Damage("UPDATE journal SET body = x'7b22' WHERE seq = 3", run);
        var next = await StartAsync(Steps(3));
        var before = await next.UntilAsync(run, RunStatus.Paused);

        await next.Runs.ResumeAsync(run, "me", new RunOverrides(), default);

        var after = await next.UntilAsync(run, r => r.Epoch > before.Epoch && r.Owner is null, "was claimed for the input and let go");
        Assert.Equal((RunStatus.Paused, PauseCause.Corrupt, null), (after.Status, after.Paused, after.DueAt));
        Assert.Empty(await next.Store.ReadInboxAsync(run, 10, default));
    }

    [Fact]
    public async Task A_damaged_run_can_be_cancelled()
    {
        var gate = new Gate();
        var server = await StartAsync(Steps(3, "b", gate));
        var run = await server.CreateAsync(Manifest);
        await gate.Reached;
        await server.StopHardAsync();
        Damage("UPDATE journal SET body = x'7b22' WHERE seq = 3", run);
        var next = await StartAsync(Steps(3));
        await next.UntilAsync(run, RunStatus.Paused);

        await next.Runs.CancelAsync(run, "me", null, default);

        await next.UntilAsync(run, RunStatus.Cancelled);
        Assert.Equal(EntryKind.RunEnded, (await next.Store.ReadJournalAsync(run, 0, 100, default))[^1].Kind);
    }

    private void Damage(string sql, RunId run)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(Folder, "caisson.db")};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"{sql} AND run = (SELECT id FROM runs WHERE run_id = '{run}')";
        Assert.Equal(1, command.ExecuteNonQuery());
    }
}
