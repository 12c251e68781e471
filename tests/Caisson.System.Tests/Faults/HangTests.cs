using Caisson.Client;
using Caisson.Contracts;
using Caisson.System.Tests.Harness;

namespace Caisson.System.Tests.Faults;

/// <summary>Servers that live and do nothing. The supervisor ends each, and the run that was at work goes on in the next.</summary>
public sealed class HangTests
{
    [Fact]
    public async Task A_frozen_server_is_replaced_and_its_run_goes_on()
    {
        await using var server = await ServerProcess.StartAsync(supervise: true);
        var run = await StartedAsync(server);
        var frozen = await server.ServerPidAsync();

        Processes.Signal(frozen, "STOP");

        await ReplacedAsync(server, frozen, run);
    }

    [Fact]
    public async Task A_server_whose_thread_pool_is_used_up_is_replaced_and_its_run_goes_on()
    {
        using var folder = new Folder();
        var starve = Path.Combine(folder.Path, "starve");
        await using var server = await ServerProcess.StartAsync(supervise: true,
            environment: new Dictionary<string, string> { ["DOTNET_STARTUP_HOOKS"] = typeof(StartupHook).Assembly.Location, ["STARVE_POOL"] = starve });
        var run = await StartedAsync(server);
        var starved = await server.ServerPidAsync();

        await File.WriteAllTextAsync(starve, "");

        await ReplacedAsync(server, starved, run);
    }

    /// <summary>A run in the middle of a paid call.</summary>
    private static async Task<string> StartedAsync(ServerProcess server)
    {
        var run = await server.CreateAsync(ServerProcess.ManifestOf("slow"));
        await Until.AsyncValue("the call is under way", () => server.Client.GetRunAsync(run, CancellationToken.None), view => view.LastSeq >= 3);
        return run;
    }

    private static async Task ReplacedAsync(ServerProcess server, int hung, string run)
    {
        await Until.True("the hung server is gone", () => !Processes.IsAlive(hung));
        await Until.True("the supervisor says so", () => server.Log.Any(line => line.Contains("silent for 3 s and was killed", StringComparison.Ordinal)));
        var ended = await server.EndedAsync(run);
        Assert.Equal((RunStatus.Completed, "late"), (ended.Status, ended.Result));
        Assert.Equal(2, ended.Epoch);
        await server.AssertSoundAsync();
        Assert.Equal(0, await server.StopAsync());
    }
}
