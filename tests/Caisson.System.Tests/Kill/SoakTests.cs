using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Kill;

/// <summary>`make soak-boxes`: many runs with boxes while the server is killed again and again. Minutes long, so not part of `make test`.</summary>
public sealed class SoakTests(ITestOutputHelper output)
{
    private const int AtOnce = 6;

    /// <summary>On a busy machine several deaths come before a box has even started.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    // What a command leaves running ignores what can be ignored, and forks.
    private const string Script = """
        model: worker
        turns:
          - say: Leave something behind.
            call: { name: shell, arguments: { command: "trap '' TERM HUP INT; for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP INT; sleep 3000' &) ; done; date > file; sleep 0.2" } }
          - say: Done.
        """;

    private const string Manifest = """
        name: worker
        loop: { model: mock/worker, instructions: Work., tools: [shell] }
        sandbox: { memory: 256MiB, disk: 32MiB }
        """;

    [Fact(Explicit = true, Timeout = 3_600_000)]
    public async Task Runs_under_random_kills_end_and_leave_nothing()
    {
        var runs = int.Parse(Environment.GetEnvironmentVariable("CAISSON_SOAK_RUNS") ?? "1000", CultureInfo.InvariantCulture);
        Residue.Of residue;
        var (kills, acquitted) = (0, 0);
        var began = Stopwatch.GetTimestamp();
        await using (var server = await ServerProcess.StartAsync(supervise: true, script: Script))
        {
            residue = Residue.At(server.Data);
            using var done = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            var killing = KillAsync();
            var next = 0;
            await foreach (var worker in Task.WhenEach(Enumerable.Range(0, AtOnce).Select(_ => WorkAsync())))
                await worker;
            await done.CancelAsync();
            await killing;
            Assert.Equal(0, await server.StopAsync());

            async Task WorkAsync()
            {
                while (Interlocked.Increment(ref next) is var number && number <= runs)
                {
                    var (run, _) = await server.AskAsync(client => client.CreateRunAsync(new(Manifest, "agent.yaml", "hi"), $"soak-{number}", CancellationToken.None));
                    var ended = await server.EndedAsync(run.Id, Patience);
                    // Three deaths with this run alone at work look like its doing: then a person says that it was not.
                    for (; ended.Paused == PauseCause.Poison; acquitted++)
                    {
                        await server.AskAsync(client => client.RetryAsync(run.Id, "soak", CancellationToken.None));
                        ended = await server.EndedAsync(run.Id, Patience);
                    }

                    Assert.True(ended.Status == RunStatus.Completed, $"run {number} after {kills} kills: {ended.Status} {ended.Detail}");
                    if (number % 100 == 0)
                        output.WriteLine($"{number} runs, {kills} kills, {Stopwatch.GetElapsedTime(began).TotalSeconds:0} s");
                }
            }

            async Task KillAsync()
            {
                while (!done.IsCancellationRequested)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(RandomNumberGenerator.GetInt32(1_000, 20_000)), TimeProvider.System, done.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    if (done.IsCancellationRequested)
                        return;
                    Processes.Signal(await server.ServerPidAsync(), "KILL");
                    kills++;
                }
            }
        }

        var left = residue.Find();
        output.WriteLine($"{runs} runs, {kills} kills, {acquitted} acquitted of poison, {Stopwatch.GetElapsedTime(began).TotalSeconds:0} s; left behind: {left.Count}");
        Assert.Empty(left);
    }
}
