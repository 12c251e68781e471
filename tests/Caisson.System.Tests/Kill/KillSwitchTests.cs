using System.Diagnostics;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Kill;

public sealed class KillSwitchTests
{
    private const string Script = """
        scripts:
          - model: sleeper
            turns:
              - { say: I wait., call: { name: shell, arguments: { command: "sleep 600" } } }
              - say: Done.
        """;

    [Fact]
    public async Task Within_five_seconds_the_box_is_gone_and_the_run_paused_also_after_a_restart_of_the_server()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await ServerProcess.StartAsync(supervise: true, script: Script);
        var id = await server.CreateAsync(ServerProcess.ManifestOf("sleeper", "  tools: [shell]\nsandbox: { memory: 256MiB, disk: 32MiB }\n"));
        var residue = Residue.At(server.Data);
        await Until.AsyncValue("the command in its box", () => server.Client.GetRunAsync(id, cancellation), run => run.CurrentStep is { } step && step.Contains("shell", StringComparison.Ordinal));
        await Until.AsyncValue("the box", () => Task.FromResult(residue.Find()), found => found.Any(thing => thing.StartsWith("process", StringComparison.Ordinal)));

        var began = Stopwatch.GetTimestamp();
        var on = await server.RunAsync("kill-switch", "on", "--agent", "sleeper-agent", "--reason", "it sleeps");
        Assert.Equal(0, on.Exit);
        var paused = await Until.AsyncValue("the pause", () => server.Client.GetRunAsync(id, cancellation), run => run.Status == RunStatus.Paused);
        Assert.True(Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(5), $"took {Stopwatch.GetElapsedTime(began)}");
        Assert.Equal(PauseCause.Operator, paused.Paused);
        Assert.Contains("it sleeps", paused.Detail, StringComparison.Ordinal);
        Assert.DoesNotContain(residue.Find(), thing => thing.Contains("sleep", StringComparison.Ordinal) || thing.StartsWith("mount", StringComparison.Ordinal));

        var child = await server.ServerPidAsync();
        Processes.Signal(child, "KILL");
        await Until.AsyncValue("the restart", () => Task.FromResult(Processes.ChildrenOf(server.Pid)), children => children.Count == 1 && children[0] != child);
        var refused = await Until.AsyncValue("an answer of the new server", () => server.RunAsync("resume", id), answer => answer.Exit != 7);
        Assert.Equal(6, refused.Exit);
        Assert.Contains("agent:sleeper-agent", (await server.RunAsync("kill-switch", "list")).Out, StringComparison.Ordinal);

        var off = await server.RunAsync("kill-switch", "off", "--agent", "sleeper-agent", "--resume");
        Assert.Contains("1 runs go on", off.Out, StringComparison.Ordinal);
        await Until.AsyncValue("the command again", () => server.Client.GetRunAsync(id, cancellation), run => run.CurrentStep is { } step && step.Contains("shell", StringComparison.Ordinal));
    }
}
