using Caisson.Storage.Tests.Processes;
using Caisson.Storage.Tests.Sqlite;

namespace Caisson.Storage.Tests.Safety;

public sealed class SweepLoadTests
{
    private const int Seed = 20260101;

    [Fact]
    public async Task No_reference_ever_points_to_nothing_while_sweeps_and_puts_race()
    {
        using var folder = new TempFolder();
        using var load = new SweepLoad(folder.Path);

        await load.RunAsync(120, Seed, _ => { });

        Assert.True(load.Removed > 20, $"only {load.Removed} blobs were removed: the race was not there");
        await AssertWholeAsync(load);
    }

    [Fact]
    public async Task Nothing_that_is_referred_to_is_lost_by_a_kill_in_the_middle_of_sweeps_and_puts()
    {
        using var folder = new TempFolder();
        var random = new Random(Seed);
        for (var kill = 0; kill < 4; kill++)
        {
            var moment = random.Next(2, 14);

            await ChildProcess.RunUntilKilledAsync("sweep", folder.Path, seen => seen.Count >= moment);

            using var load = new SweepLoad(folder.Path);
            Assert.NotEmpty(load.Referenced);
            await AssertWholeAsync(load);
        }
    }

    /// <summary>What the killed process does: sweeps and puts, and says each round.</summary>
    internal static async Task SweepForeverAsync(string folder, Action<string> say)
    {
        using var load = new SweepLoad(folder);
        await load.RunAsync(SweepLoad.MostRounds, Environment.ProcessId, round => say($"round {round}"));
    }

    private static async Task AssertWholeAsync(SweepLoad load)
    {
        foreach (var number in load.Referenced)
            Assert.True(await load.Store.GetAsync(load.AddressOf(number), default) is { } content && content.Span.SequenceEqual(SweepLoad.Content(number)), $"content {number} is referred to and gone");
    }
}
