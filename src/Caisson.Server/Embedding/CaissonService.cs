using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Caisson.Server.Embedding;

/// <summary>
/// Starts and stops the engine with the application. An engine that may act no more takes the application with it, with
/// the exit code by which whoever keeps it running knows to start it anew: only a new process can trust its memory.
/// </summary>
internal sealed class CaissonService(EmbeddedRooms embedded, IOptions<HostOptions> host, IHostApplicationLifetime application, ILogger<CaissonService> log) : IHostedService
{
    /// <summary>As the command's own server ends.</summary>
    internal const int RestartExitCode = 75;

    // The rest of the application's time to stop is for what stops after the engine, and for closing the store.
    private const double PartOfShutdown = 0.8;

    private Task _watch = Task.CompletedTask;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await embedded.Rooms.StartAsync(cancellationToken);
        _watch = WatchAsync();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (embedded.IsLost)
            return;
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = cancellationToken.Register(() => over.TrySetResult());
        var drained = embedded.Rooms.Engine.DrainAsync(host.Value.ShutdownTimeout * PartOfShutdown);
        if (await Task.WhenAny(drained, over.Task) == over.Task)
            log.LogWarning("the application's time to stop is over before all steps ended; the next start goes on from the journal");
        else
            await drained;
        await _watch;
    }

    private async Task WatchAsync()
    {
        try
        {
            await embedded.Rooms.Stopped;
        }
        catch (Exception problem)
        {
            log.LogCritical("{Problem}: ending with {ExitCode}, to be started again", problem.Message, RestartExitCode);
            embedded.IsLost = true;
            Environment.ExitCode = RestartExitCode;
            application.StopApplication();
        }
    }
}
