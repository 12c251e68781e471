using System.Globalization;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Stores;
using Caisson.Storage.Tests.EngineTests;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.Processes;

/// <summary>Real processes, killed with SIGKILL at moments that a seed chooses.</summary>
public sealed class SigkillTests
{
    private const int Seed = 20260101;

    [Fact]
    public async Task What_was_acknowledged_before_a_kill_is_there_without_gaps()
    {
        using var folder = new TempFolder();
        var random = new Random(Seed);
        var acknowledged = new HashSet<(RunId Run, long Seq)>();
        for (var kill = 0; kill < 6; kill++)
        {
            var moment = random.Next(1, 600);

            var lines = await ChildProcess.RunUntilKilledAsync("append", folder.Path, seen => seen.Count >= moment);

            acknowledged.UnionWith(lines.Select(line => line.Split(' ')).Select(words => (RunId.Parse(words[0]), long.Parse(words[1], CultureInfo.InvariantCulture))));
        }

        await using var store = SqliteStoreHost.Open(folder.Path, TimeProvider.System);
        var runs = await store.ListAsync(new RunFilter(null, null, null, 100), default);
        Assert.Equal(Child.Runs, runs.Count);
        foreach (var run in runs)
        {
            var journal = await store.ReadJournalAsync(run.Id, 0, 100_000, default);
            Assert.Equal(Enumerable.Range(1, journal.Count).Select(i => (long)i), journal.Select(e => e.Seq));
            Assert.Equal(journal.Count, run.LastSeq);
            var steps = journal.Where(e => e.Kind == EntryKind.StepCompleted).ToList();
            Assert.All(steps, e => Assert.Equal($"{run.Id} {e.Seq}", Encoding.UTF8.GetString(e.Payload!.Value.Span).Trim('"')));
            var lost = acknowledged.Where(a => a.Run == run.Id).Select(a => a.Seq).Except(steps.Select(e => e.Seq)).ToList();
            Assert.True(lost.Count == 0, $"seed {Seed}: run {run.Id} lost entries {string.Join(", ", lost)}");
        }
    }

    [Fact]
    public async Task A_step_that_completed_before_a_kill_is_never_executed_again()
    {
        using var folder = new TempFolder();
        var random = new Random(Seed);
        await using (var setup = new TestServer(folder.Path))
        {
            for (var i = 0; i < Child.Runs; i++)
                await setup.CreateAsync(Child.Manifest);
        }

        var facts = new List<string>();
        var kills = 0;
        while (kills < 6)
        {
            var moment = random.Next(10, 70);
            facts.AddRange(await ChildProcess.RunUntilKilledAsync("engine", folder.Path, seen => seen.Count >= moment));
            kills++;
        }

        // The last one is not killed and lets every run come to its end.
        await using var server = new TestServer(folder.Path);
        server.Register("worker", context => Child.WorkAsync(context, fact =>
        {
            lock (facts)
                facts.Add(fact);
        }));
        var runs = await server.Runs.ListAsync(new RunFilter(null, null, null, 100), default);
        Assert.All(runs, run => Assert.Equal((RunStatus.Running, true), (run.Status, run.Epoch > 1)));
        await server.StartAsync();
        foreach (var run in runs)
            await server.UntilAsync(run.Id, RunStatus.Completed);
        foreach (var run in runs)
        {
            var journal = await server.JournalAsync(run.Id);
            Assert.Equal(Enumerable.Range(1, journal.Count).Select(i => (long)i), journal.Select(e => e.Seq));
            var steps = journal.Where(e => e.Kind == EntryKind.StepCompleted).ToList();
            Assert.Equal(Enumerable.Range(0, Child.Steps).Select(i => $"{i}"), steps.Select(e => Encoding.UTF8.GetString(e.Payload!.Value.Span).Trim('"')));
            Assert.Single(journal, e => e.Kind == EntryKind.RunEnded);
            for (var i = 0; i < Child.Steps; i++)
            {
                var known = facts.IndexOf($"has {run.Id} {i}");
                var executed = facts.Count(f => f == $"did {run.Id} {i}");
                Assert.True(known < 0 || facts.LastIndexOf($"did {run.Id} {i}") < known, $"seed {Seed}: step {i} of run {run.Id} was executed after its completion was acknowledged");
                Assert.InRange(executed, 1, 1 + kills);
            }
        }
    }
}
