using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Serve;

public sealed class SuperviseTests
{
    [Fact]
    public async Task A_killed_server_is_back_on_its_port_and_its_runs_complete()
    {
        await using var server = await ServerProcess.StartAsync(supervise: true);
        var id = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        var waiting = server.RunAsync("wait", id);
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.LastSeq >= 3);

        Processes.Signal(await server.ServerPidAsync(), "KILL");

        var answer = await waiting;
        Assert.Equal((0, "late\n"), (answer.Exit, answer.Out));
        Assert.True((await server.Client.GetRunAsync(id, CancellationToken.None)).Epoch > 1);
        Assert.Contains(server.Log, line => line.Contains("killed by SIGKILL", StringComparison.Ordinal) && line.Contains("restart 1", StringComparison.Ordinal));
        var trace = await server.RunAsync("trace", id);
        Assert.Contains("✗ the owner of epoch 1 was lost", trace.Out, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_server_does_not_outlive_its_supervisor()
    {
        await using var server = await ServerProcess.StartAsync(supervise: true);
        var child = await server.ServerPidAsync();

        Processes.Signal(server.Pid, "KILL");

        await Until.True("the server is gone", () => !Processes.IsAlive(child));
    }

    [Fact]
    public async Task A_stream_over_a_restart_has_no_gap_and_no_duplicate()
    {
        await using var server = await ServerProcess.StartAsync(supervise: true);
        var id = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        var (lost, back) = (0, 0);
        var seen = new List<JournalEntryView>();

        await foreach (var entry in server.Client.FollowAsync(id, new FollowOptions { Lost = _ => lost++, Back = () => back++ }, CancellationToken.None))
        {
            seen.Add(entry);
            if (entry.Kind == "step_started" && lost == 0)
                Processes.Signal(await server.ServerPidAsync(), "KILL");
        }

        Assert.Equal(Enumerable.Range(1, seen.Count).Select(i => (long)i), seen.Select(e => e.Seq));
        Assert.Equal("run_ended", seen[^1].Kind);
        Assert.Equal((1, 1), (lost, back));
    }

    [Fact]
    public async Task Told_to_stop_it_lets_a_step_finish_and_hands_the_run_back()
    {
        await using var server = await ServerProcess.StartAsync();
        var id = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(id, CancellationToken.None), run => run.LastSeq >= 3);

        var exit = await server.StopAsync();

        Assert.Equal(0, exit);
        Assert.Contains(server.Log, line => line.Contains("stopped", StringComparison.Ordinal));
    }
}
