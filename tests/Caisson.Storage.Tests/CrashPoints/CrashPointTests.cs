using Caisson.Contracts;

namespace Caisson.Storage.Tests.CrashPoints;

/// <summary>
/// Each sample agent is killed at each of its writes, before it and after it, and goes on in another process: the run
/// must come out as if nothing had happened.
/// </summary>
public sealed class CrashPointTests
{
    public static TheoryData<string, Death> Cases => new(from name in Sample.All.Keys from death in Enum.GetValues<Death>() select (name, death));

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_run_killed_at_any_write_comes_out_as_if_it_had_not_been(string name, Death death)
    {
        var sample = Sample.All[name];
        var whole = new World(sample);
        await whole.CreateAsync();
        var (writes, _) = await whole.LiveAsync(0, death);
        var expected = await whole.OutcomeAsync();
        Assert.Equal("", await whole.FindingsAsync());
        Assert.Contains("Completed", expected, StringComparison.Ordinal);

        var failures = new List<string>();
        var deaths = 0;
        for (var point = 1; point <= writes; point++)
        {
            var (problem, died) = await KillAsync(sample, point, death, expected, whole.Effects);
            deaths += died ? 1 : 0;
            if (problem is not null)
                failures.Add($"{name}, write {point} of {writes}, {death}: {problem}");
        }

        Assert.True(failures.Count == 0, string.Join("\n", failures));

        // Runs in branches do not always take the same number of writes; but that nobody dies is no test.
        Assert.InRange(deaths, writes - 3, writes);
    }

    [Theory]
    [InlineData(Death.Before)]
    [InlineData(Death.AfterCommit)]
    public async Task What_a_command_sent_is_sent_once_at_most_and_never_without_its_intent(Death death)
    {
        var whole = new World(Sample.Sending);
        await whole.CreateAsync();
        var (writes, _) = await whole.LiveAsync(0, death);
        Assert.Equal(["once 0", "once 1"], whole.Effects.Keys.Order());

        var unknown = 0;
        for (var point = 1; point <= writes; point++)
        {
            var world = new World(Sample.Sending);
            await world.CreateAsync();
            if ((await world.LiveAsync(point, death)).Died)
                await world.LiveAsync(0, death);
            Assert.Equal("", await world.FindingsAsync());
            Assert.All(world.Effects, effect => Assert.Equal(1, effect.Value));
            var journal = world.State.Find(world.Run)!.Journal.Select(e => e.Entry).ToList();
            Assert.Equal(RunStatus.Completed, world.State.Find(world.Run)!.Record.Status);
            Assert.True(journal.Count(e => e.Kind == EntryKind.EgressIntended) >= world.Effects.Count);
            unknown += journal.Count(e => e.Kind == EntryKind.StepUnknown);
        }

        // Each of the two commands is once killed between its intent and its end.
        Assert.InRange(unknown, 2, writes);
    }

    private static async Task<(string? Problem, bool Died)> KillAsync(Sample sample, int point, Death death, string expected, IReadOnlyDictionary<string, int> effects)
    {
        var world = new World(sample);
        await world.CreateAsync();
        try
        {
            var (_, died) = await world.LiveAsync(point, death);
            if (died)
                await world.LiveAsync(0, death);
            return (await JudgeAsync(world, expected, effects), died);
        }
        catch (Xunit.Sdk.XunitException stuck)
        {
            return (stuck.Message, true);
        }
    }

    private static async Task<string?> JudgeAsync(World world, string expected, IReadOnlyDictionary<string, int> effects)
    {
        if (await world.FindingsAsync() is { Length: > 0 } findings)
            return findings;
        if (await world.OutcomeAsync() is var outcome && outcome != expected)
            return $"came out as {outcome} instead of {expected}\n{await world.DescribeAsync()}";
        foreach (var (effect, _) in effects)
        {
            // What nobody can check may not have happened at all; all else has, and nothing twice that must not.
            var least = effect == "once blind" ? 0 : 1;
            var most = effect.StartsWith("once", StringComparison.Ordinal) ? 1 : 2;
            if (world.Effects.GetValueOrDefault(effect) is var times && (times < least || times > most))
                return $"effect '{effect}' happened {times} times, allowed are {least} to {most}";
        }

        return null;
    }
}
