using System.Globalization;
using System.Security.Cryptography;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Schedules;

/// <summary>A schedule of every second, and a server that is killed with SIGKILL at random moments.</summary>
public sealed class ScheduleKillTests(ITestOutputHelper output)
{
    private const int Kills = 8;

    [Fact(Timeout = 300_000)]
    public async Task No_second_starts_twice_and_none_is_missed_over_kills()
    {
        await using var server = await ServerProcess.StartAsync(supervise: true);
        var spec = new ScheduleSpec(ServerProcess.Manifest, "agent.yaml", "tick", Cron: "* * * * * *", Overlap: "allow", CatchUp: "2m");
        await server.Client.PutScheduleAsync("ticker", spec, CancellationToken.None);
        await StartedAsync(server, 2);

        for (var kill = 0; kill < Kills; kill++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(RandomNumberGenerator.GetInt32(1_500)), TimeProvider.System, TestContext.Current.CancellationToken);
            Processes.Signal(await server.ServerPidAsync(), "KILL");
            if (kill % 3 == 0)
                await StartedAsync(server, (await RunsAsync(server)).Count + 2);
        }

        await StartedAsync(server, (await RunsAsync(server)).Count + 2);
        await AskAsync(server, (client, ct) => client.PauseScheduleAsync("ticker", ct));
        var runs = await Until.AsyncValue("every run's end", () => RunsAsync(server), runs => runs.All(run => run.Status.IsFinal()));

        var seconds = runs.Select(run => DateTimeOffset.Parse(run.Labels["schedule_time"], CultureInfo.InvariantCulture)).Order().ToList();
        output.WriteLine($"{Kills} kills in {seconds[^1] - seconds[0]}: {seconds.Count} runs");
        Assert.All(runs, run => Assert.Equal((RunStatus.Completed, "ticker"), (run.Status, run.Labels["schedule"])));
        Assert.Equal(Enumerable.Range(0, seconds.Count).Select(i => seconds[0].AddSeconds(i)), seconds);
        Assert.Equal(seconds[^1], (await server.Client.GetScheduleAsync("ticker", CancellationToken.None)).LastAt);
        Assert.Equal(0, await server.StopAsync());
    }

    private static Task<IReadOnlyList<RunView>> StartedAsync(ServerProcess server, int count) =>
        Until.AsyncValue($"{count} runs", () => RunsAsync(server), runs => runs.Count >= count);

    private static Task<IReadOnlyList<RunView>> RunsAsync(ServerProcess server) => AskAsync(server, async (client, ct) =>
    {
        var runs = new List<RunView>();
        string? next = null;
        do
        {
            var page = await client.ListRunsAsync(new RunQuery([], Cursor: next, Limit: 500), ct);
            runs.AddRange(page.Items);
            next = page.Next;
        }
        while (next is not null);
        return (IReadOnlyList<RunView>)runs;
    });

    private static Task<T> AskAsync<T>(ServerProcess server, Func<CaissonClient, CancellationToken, Task<T>> ask) =>
        server.Client.RetryAsync(ct => ask(server.Client, ct), CaissonProgram.Patience, TestContext.Current.CancellationToken);
}
