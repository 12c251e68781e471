using System.Globalization;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Faults;

/// <summary>Somebody sets the wall clock of a server at work by an hour.</summary>
public sealed class ClockTests
{
    [Theory]
    [InlineData(+3600)]
    [InlineData(-3600)]
    public async Task A_wall_clock_that_jumps_costs_no_run_and_starts_none_twice(long seconds)
    {
        using var folder = new Folder();
        var shift = Path.Combine(folder.Path, "shift");
        await SetAsync(shift, 0);
        var (name, value) = Preload.Build(folder, "shifted_clock.c");
        await using var server = await ServerProcess.StartAsync(supervise: true, environment: new Dictionary<string, string> { [name] = value, ["CLOCK_SHIFT"] = shift });
        await server.Client.PutScheduleAsync("ticker", new ScheduleSpec(ServerProcess.Manifest, "agent.yaml", "tick", Cron: "* * * * * *", Overlap: "allow", CatchUp: "10s"), CancellationToken.None);
        await StartedAsync(server, 2);
        var under = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(under, CancellationToken.None), run => run.LastSeq >= 3);

        await SetAsync(shift, seconds);

        var ended = await server.EndedAsync(under);
        Assert.Equal((RunStatus.Completed, "late", 1L), (ended.Status, ended.Result, ended.Epoch));
        await StartedAsync(server, (await RunsAsync(server)).Count + 2);

        // The next process finds a journal that is from another time than its clock.
        Processes.Signal(await server.ServerPidAsync(), "KILL");
        await StartedAsync(server, (await RunsAsync(server)).Count + 2);
        await server.AskAsync(client => client.PauseScheduleAsync("ticker", CancellationToken.None));
        var runs = await Until.AsyncValue("every run's end", () => RunsAsync(server), all => all.All(run => run.Status.IsFinal()));

        Assert.All(runs, run => Assert.Equal(RunStatus.Completed, run.Status));
        var nominal = runs.Where(run => run.Labels.ContainsKey("schedule")).Select(run => DateTimeOffset.Parse(run.Labels["schedule_time"], CultureInfo.InvariantCulture)).Order().ToList();
        Assert.Equal(nominal.Distinct(), nominal);
        if (seconds < 0)
        {
            // Time went on at its pace: no second is missed, as none is doubled.
            Assert.Equal(Enumerable.Range(0, nominal.Count).Select(i => nominal[0].AddSeconds(i)), nominal);
        }

        await server.AssertSoundAsync();
        Assert.DoesNotContain(server.Log, line => line.Contains("silent", StringComparison.Ordinal) || line.Contains("fenced", StringComparison.Ordinal));
        Assert.Equal(0, await server.StopAsync());
    }

    /// <summary>In place: the server has it mapped.</summary>
    private static async Task SetAsync(string file, long seconds)
    {
        await using var stream = new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite);
        await stream.WriteAsync(BitConverter.GetBytes(seconds));
    }

    private static Task<IReadOnlyList<RunView>> StartedAsync(ServerProcess server, int count) => Until.AsyncValue($"{count} runs", () => RunsAsync(server), runs => runs.Count >= count);

    private static Task<IReadOnlyList<RunView>> RunsAsync(ServerProcess server) =>
        server.AskAsync(async client => (await client.ListRunsAsync(new RunQuery([], Limit: 500), CancellationToken.None)).Items);
}
