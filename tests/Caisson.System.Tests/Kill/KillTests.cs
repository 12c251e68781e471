using System.Diagnostics;
using System.Security.Cryptography;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Kill;

/// <summary>
/// The promise of the product, on real processes: two runs of forty steps at a time, the server killed with SIGKILL at
/// two random moments of each pair, fifty kills in all. A shell step appends its number to a file, so an execution too
/// many changes the workspace; and it shows a random figure, so an execution too many changes the conversation, which
/// would be drift.
/// </summary>
public sealed class KillTests(ITestOutputHelper output)
{
    private const int Rounds = 25;
    private const int ModelCalls = 20;
    private const int Steps = 40;

    private const string Script = """
        model: worker
        turns:
          - say: Step {{iteration}}.
            delay: 20ms
            repeat: 18
            call: { name: shell, arguments: { command: "echo {{iteration}} >> ledger.txt; od -An -N8 -tx8 /dev/urandom" } }
          - say: The last two.
            delay: 20ms
            call:
              - { name: shell, arguments: { command: "echo last >> ledger.txt; od -An -N8 -tx8 /dev/urandom" } }
              - { name: files, arguments: { op: read, path: ledger.txt } }
          - say: Done.
            delay: 20ms
        """;

    private const string Manifest = """
        name: worker
        loop:
          model: mock/worker
          instructions: Work.
          tools: [shell, files]
        sandbox: { memory: 256MiB, disk: 32MiB }
        """;

    [Fact(Timeout = 900_000)]
    public async Task Fifty_kills_at_random_moments_lose_nothing_and_repeat_nothing()
    {
        Residue.Of residue;
        await using (var server = await ServerProcess.StartAsync(supervise: true, script: Script))
        {
            residue = Residue.At(server.Data);
            var began = Stopwatch.GetTimestamp();
            var expected = await EndAsync(server, await server.CreateAsync(Manifest, "uninterrupted"));
            var length = (int)Stopwatch.GetElapsedTime(began).TotalMilliseconds;
            Assert.Equal(ModelCalls, (await AuditAsync(server, expected, kills: 0)).Paid);

            var (doubts, paidAgain) = (0, 0);
            for (var round = 0; round < Rounds; round++)
            {
                TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
                int[] moments = [RandomNumberGenerator.GetInt32(length), RandomNumberGenerator.GetInt32(length)];
                Array.Sort(moments);
                var pair = new[] { await server.CreateAsync(Manifest, $"{round} left"), await server.CreateAsync(Manifest, $"{round} right") };
                await KillAtAsync(server, moments);
                foreach (var id in pair)
                {
                    var run = await EndAsync(server, id);
                    var trouble = $"round {round}, kills at {string.Join(" and ", moments)} ms of {length}, run {id}: {run.Status} {run.Detail}";
                    Assert.True(run.Status == RunStatus.Completed, trouble);
                    Assert.True(run.Steps == Steps, $"{trouble}: {run.Steps} steps");
                    Assert.True(run.WorkspaceRoot == expected.WorkspaceRoot, $"{trouble}: another workspace");
                    var audit = await AuditAsync(server, run, kills: moments.Length);
                    doubts += audit.InDoubt;
                    paidAgain += audit.Paid - ModelCalls;
                }
            }

            output.WriteLine($"{Rounds * 2} kills, {Rounds * 2} runs of {length} ms: {doubts} calls in doubt, {paidAgain} of them paid again");
            Assert.Equal(0, await server.StopAsync());
        }

        Assert.Empty(residue.Find());
    }

    private static async Task KillAtAsync(ServerProcess server, int[] moments)
    {
        var began = Stopwatch.GetTimestamp();
        foreach (var moment in moments)
        {
            var left = TimeSpan.FromMilliseconds(moment) - Stopwatch.GetElapsedTime(began);
            if (left > TimeSpan.Zero)
                await Task.Delay(left, TimeProvider.System);
            Processes.Signal(await server.ServerPidAsync(), "KILL");
        }
    }

    private static async Task<RunView> EndAsync(ServerProcess server, string run)
    {
        await foreach (var entry in server.Client.FollowAsync(run, new FollowOptions { Patience = CaissonProgram.Patience }, TestContext.Current.CancellationToken))
        {
            if (entry.Kind == "paused")
                break;
        }

        return await server.Client.RetryAsync(ct => server.Client.GetRunAsync(run, ct), CaissonProgram.Patience, TestContext.Current.CancellationToken);
    }

    private sealed record Audit(int Paid, int InDoubt);

    /// <summary>Journal and provider's log side by side: who was paid for, and was every second payment in doubt before?</summary>
    private static async Task<Audit> AuditAsync(ServerProcess server, RunView run, int kills)
    {
        var journal = new List<JournalEntryView>();
        await foreach (var entry in server.Client.ReadJournalAsync(run.Id, 0, payloads: false, TestContext.Current.CancellationToken))
            journal.Add(entry);
        var completed = journal.Where(e => e.Kind == "step_completed").Select(e => e.Key!).ToList();
        Assert.Equal(completed.Count, completed.Distinct().Count());
        Assert.Equal(Steps, completed.Count);
        var doubtful = journal.Where(e => e.Kind == "epoch_claimed").SelectMany(e => e.Body.GetProperty("in_doubt").EnumerateArray())
            .Select(hold => hold.GetProperty("step_key").GetString()!).ToList();
        Assert.True(doubtful.Count <= kills, $"run {run.Id}: {doubtful.Count} calls in doubt after {kills} kills");

        var answered = server.AnsweredCalls(run.Id).GroupBy(key => key).ToDictionary(g => g.Key, g => g.Count());
        foreach (var (key, times) in answered)
            Assert.True(times <= 1 + doubtful.Count(key.Equals), $"run {run.Id}: call {key} was paid {times} times and was in doubt {doubtful.Count(key.Equals)} times");
        return new Audit(answered.Values.Sum(), doubtful.Count);
    }
}
