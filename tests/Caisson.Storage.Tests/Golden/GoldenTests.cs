using System.Text;
using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;
using Caisson.Storage.Tests.CrashPoints;

namespace Caisson.Storage.Tests.Golden;

/// <summary>
/// Journals that earlier engines recorded replay for ever. How to record more:
/// <c>Caisson.Storage.Tests golden SERIES tests/golden</c>, with the next number as series.
/// </summary>
public sealed class GoldenTests
{
    public static TheoryData<string> Names => [.. GoldenFile.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_golden_journal_replays_to_its_result_and_executes_nothing(string name)
    {
        var golden = GoldenFile.Read(name);

        // All but the write of the end: what is left to do is to find it.
        var before = golden.Runs[0].Entries.FindIndex(e => e.AppendId == golden.Runs[0].Entries[^1].AppendId);
        var world = await LoadAsync(golden, run => run == golden.Runs[0] ? before : run.Entries.Count);
        Assert.Equal("", await world.FindingsAsync());
        await world.LiveAsync(0, Death.Before);

        Assert.Empty(world.Effects);
        Assert.Equal(0, world.ModelCalls);
        Assert.Equal("", await world.FindingsAsync());
        AssertEnds(golden, world);
        var journal = world.State.Find(world.Run)!.Journal;
        Assert.Equal(golden.Runs[0].Entries[..before].Select(e => Convert.ToHexString(e.Entry.Chain.Span)), journal.Take(before).Select(e => Convert.ToHexString(e.Entry.Chain.Span)));
        Assert.Equal([EntryKind.EpochClaimed, .. golden.Runs[0].Entries[before..].Select(e => e.Entry.Kind)], journal.Skip(before).Select(e => e.Entry.Kind));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task From_every_point_of_a_golden_journal_the_run_comes_to_the_recorded_end(string name)
    {
        var golden = GoldenFile.Read(name);
        var failures = new List<string>();
        foreach (var (run, cut) in Points(golden))
        {
            var kept = Kept(golden, run, cut);
            var world = await LoadAsync(golden, r => kept[r.Id]);
            try
            {
                await world.LiveAsync(0, Death.Before);
                AssertEnds(golden, world);
                Assert.Equal("", await world.FindingsAsync());
                Assert.Empty(Recorded(golden, kept).Intersect(world.Effects.Keys));
            }
            catch (Exception wrong) when (wrong is Xunit.Sdk.XunitException or CaissonException)
            {
                failures.Add($"{name}, {run.Agent} {run.Id} after entry {cut}: {wrong.Message}\n{await world.DescribeAsync()}");
            }
        }

        Assert.True(failures.Count == 0, string.Join("\n", failures));
    }

    [Fact]
    public void The_recordings_cover_every_sample_and_the_kinds_that_replay_depends_on()
    {
        var recordings = GoldenFile.Names.Select(GoldenFile.Read).ToList();

        Assert.Empty(GoldenRecorder.Samples.Keys.Except(recordings.Select(g => g.Sample)));
        var kinds = recordings.SelectMany(g => g.Runs).SelectMany(r => r.Entries).Select(e => e.Entry.Kind).ToHashSet();
        Assert.Empty(new[]
        {
            EntryKind.StepStarted, EntryKind.StepCompleted, EntryKind.StepFailed, EntryKind.StepUnknown, EntryKind.StepResolved, EntryKind.SignalConsumed, EntryKind.TimerSet,
            EntryKind.TimerFired, EntryKind.ChildSpawned, EntryKind.ChildEnded, EntryKind.ApprovalRequested, EntryKind.ApprovalDecided, EntryKind.LimitHit, EntryKind.LimitRaised,
            EntryKind.Paused, EntryKind.Resumed, EntryKind.Snapshot, EntryKind.EgressIntended, EntryKind.WorkspaceKept, EntryKind.RunEnded,
        }.Except(kinds));
        Assert.Contains(recordings, g => g.Blobs.Count > 0);
    }

    private static async Task<World> LoadAsync(GoldenFile golden, Func<GoldenRun, int> kept)
    {
        // Its deadlines and time-outs are of its own time.
        var world = new World(GoldenRecorder.Samples[golden.Sample], new ShiftedClock(golden.Runs.Max(r => r.Entries[^1].Entry.At) - TimeProvider.System.GetUtcNow()));
        foreach (var (address, content) in golden.Blobs)
            Assert.Equal(address, (await world.Blobs.PutAsync([content], default))[0]);
        world.Load(GoldenState.Of(golden, kept));
        return world;
    }

    private static void AssertEnds(GoldenFile golden, World world)
    {
        foreach (var run in golden.Runs)
        {
            var end = JournalJson.Read<EntryBody.RunEnded>(world.State.Find(run.Id)!.Journal[^1].Entry.Body);
            Assert.Equal((run.End.Status, run.End.Result, run.End.Failure?.Code, run.End.Failure?.Message), (end.Status, end.Result, end.Failure?.Code, end.Failure?.Message));
        }
    }

    /// <summary>Every place where a process can have died: after each unit of each run.</summary>
    private static IEnumerable<(GoldenRun Run, int Entries)> Points(GoldenFile golden) =>
        from run in golden.Runs
        from count in Enumerable.Range(1, run.Entries.Count - 1)
        let unit = run.Entries[count - 1].AppendId
        where unit == Guid.Empty || unit != run.Entries[count].AppendId
        select (run, count);

    /// <summary>Entries of each run: a child is there once it was spawned, and done, unless it is the one that was cut; its parent then waits for it.</summary>
    private static Dictionary<RunId, int> Kept(GoldenFile golden, GoldenRun cut, int entries)
    {
        var root = golden.Runs[0];
        var ofRoot = cut == root ? entries : root.Entries.FindIndex(e => e.Entry.Kind == EntryKind.ChildEnded && Is<EntryBody.ChildEnded>(e, end => end.Child == cut.Id.ToString()));
        var spawned = root.Entries.Take(ofRoot).Where(e => e.Entry.Kind == EntryKind.ChildSpawned).Select(e => JournalJson.Read<EntryBody.ChildSpawned>(e.Entry.Body).Child).ToHashSet();
        return golden.Runs.ToDictionary(r => r.Id, r => r == root ? ofRoot : r == cut ? entries : spawned.Contains(r.Id.ToString()) ? r.Entries.Count : 0);
    }

    private static bool Is<T>(MemoryEntry entry, Func<T, bool> what)
        where T : EntryBody => what(JournalJson.Read<T>(entry.Entry.Body));

    /// <summary>Effects of the steps whose completion was there: their results name them.</summary>
    private static IEnumerable<string> Recorded(GoldenFile golden, Dictionary<RunId, int> kept) =>
        from run in golden.Runs
        from entry in run.Entries.Take(kept[run.Id])
        where entry.Entry.Kind == EntryKind.StepCompleted && entry.Entry.Payload is { Length: > 1 } payload && payload.Span[0] == '"'
        select JsonSerializer.Deserialize<string>(Encoding.UTF8.GetString(entry.Entry.Payload!.Value.Span))!.TrimEnd('!');

    private sealed class ShiftedClock(TimeSpan shift) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + shift;
    }
}
