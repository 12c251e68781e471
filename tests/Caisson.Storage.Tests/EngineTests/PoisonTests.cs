using System.Collections.Concurrent;
using Caisson.Contracts;
using Microsoft.Data.Sqlite;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>One of many runs takes the server with it, and the crash does not say which.</summary>
public sealed class PoisonTests : EngineTestBase
{
    private const int Culprit = 5;

    // Who is at work in the life of each server: the groups that come one after the other, each until it got on. The last
    // group of a life has the culprit in it, and with him the server dies.
    private static readonly int[][][] s_lives =
    [
        [[0, 1, 2, 3, 4, 5, 6, 7]],
        [[0, 1, 2, 3, 4, 5, 6, 7]],
        [[0, 1, 2, 3], [4, 5]],
        [[4], [5]],
        [[5]],
        [[5]],
    ];

    [Fact]
    public async Task The_run_that_kills_servers_is_isolated_among_many_and_paused_and_the_others_end()
    {
        var runs = new List<RunId>();
        foreach (var life in s_lives)
        {
            var steps = new Held();
            var server = await StartAsync(steps.RunAsync, before: async server =>
            {
                while (runs.Count < 8)
                    runs.Add(await server.CreateAsync(Manifest));
                runs.Sort();
            });
            foreach (var group in life)
            {
                foreach (var run in group)
                    await steps.AtWorkAsync(runs[run]);
                Assert.Equal(group.Select(i => runs[i]), steps.AtWork.Order());
                if (group.Contains(Culprit))
                    break;
                foreach (var run in group)
                {
                    steps.GoOn(runs[run]);
                    await server.UntilAsync(runs[run], RunStatus.Completed);
                }
            }

            await server.StopHardAsync();
            SayNothing();
        }

        var last = await StartAsync(_ => Task.FromResult("done"));

        var paused = await last.UntilAsync(runs[Culprit], RunStatus.Paused);
        Assert.Equal((PauseCause.Poison, 3), (paused.Paused, paused.LoneCrashes));
        foreach (var run in runs.Where((_, i) => i != Culprit))
            await last.UntilAsync(run, RunStatus.Completed);
    }

    /// <summary>An engine that is stopped tells the store; a process that is killed does not.</summary>
    private void SayNothing()
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(Folder, "caisson.db")};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "UPDATE nodes SET dead_at = NULL WHERE started_at = (SELECT max(started_at) FROM nodes)";
        Assert.Equal(1, command.ExecuteNonQuery());
    }

    /// <summary>One step for each run, which the test lets go on.</summary>
    private sealed class Held
    {
        private readonly ConcurrentDictionary<RunId, Gate> _gates = new();
        private readonly ConcurrentDictionary<RunId, bool> _atWork = new();

        internal ICollection<RunId> AtWork => _atWork.Keys;

        internal Task AtWorkAsync(RunId run) => Of(run).Reached;

        internal void GoOn(RunId run) => Of(run).Open();

        internal async Task<string> RunAsync(Core.Agents.IRunContext context)
        {
            await context.StepAsync("step", async step =>
            {
                _atWork[context.Run] = true;
                await Of(context.Run).PassAsync(step.Cancellation);
                _atWork.TryRemove(context.Run, out _);
                return true;
            });
            return "done";
        }

        private Gate Of(RunId run) => _gates.GetOrAdd(run, _ => new Gate());
    }
}
