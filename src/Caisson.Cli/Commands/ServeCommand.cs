using System.CommandLine;
using System.Reflection;
using Caisson.Cli.Supervise;
using Caisson.Contracts;
using Caisson.Server.Configuration;
using Caisson.Server.Hosting;
using Microsoft.Extensions.Logging;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson serve</c>: the server, and with <c>--supervise</c> its keeper.</summary>
internal static class ServeCommand
{
    private static readonly ServerFlags Flags = new();

    internal static Command Create(Shell shell)
    {
        var command = new Command("serve", "Run the server");
        Flags.AddTo(command);
        shell.Bind(command, context => Flags.Supervise(context) ? SuperviseAsync(context, Flags.Read(context, null)) : HostAsync(context, Flags.Read(context, null), null));
        return command;
    }

    /// <summary>Hosts the server in this process until it is told to stop or must be started anew.</summary>
    /// <param name="started">Told where the server listens, in place of the usual line.</param>
    internal static async Task<int> HostAsync(CommandContext context, ServerOptions options, Action<CaissonHost>? started)
    {
        var level = context.Verbose ? LogLevel.Debug : context.Quiet ? LogLevel.Error : LogLevel.Warning;
        using var provider = new LineLoggerProvider(context.Terminal.Error, level, context.Shell.Clock);
        // A start that fails is told once, as this command's error.
        using var logs = LoggerFactory.Create(logging => logging.SetMinimumLevel(level).AddFilter("Microsoft.Extensions.Hosting", LogLevel.None).AddProvider(provider));
        switch (await CaissonHost.StartAsync(options, (ulong?)context.Shell.ListenDescriptor, context.Shell.Clock, context.Shell.Ids, logs, context.Interrupted))
        {
            case HostOutcome.Refused { Failure: { Code: ErrorCodes.StorageFailed or ErrorCodes.DiskFull } ill }:
                // As when it fails later: the disk may be well, or have space, when the server is started again.
                throw new CommandFailure(ExitCodes.Restart, ill.Code, ill.Message);
            case HostOutcome.Refused refused:
                throw CommandFailure.Of(refused.Failure);
            case HostOutcome.Started { Host: var host }:
                Supervised.Ready();
                if (started is not null)
                    started(host);
                else
                    await context.Terminal.Error.WriteLineAsync($"caisson: listening on http://{host.Address}, data in {options.DataDirectory}");
                return await UntilStoppedAsync(context, host);
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    internal static async Task<int> SuperviseAsync(CommandContext context, ServerOptions options)
    {
        using var socket = ListenSocket.Open(options.Listen);
        using var supervisor = new Supervisor(OwnCommand(socket), socket, context.Terminal, context.Shell.Clock);
        context.Shell.Signals.Instead = supervisor.Signal;
        return await supervisor.RunAsync();
    }

    private static async Task<int> UntilStoppedAsync(CommandContext context, CaissonHost host)
    {
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = context.Interrupted.Register(() => told.TrySetResult());
        if (await Task.WhenAny(told.Task, host.Stopped) != told.Task)
        {
            // Nothing is put in order any more: whatever held the storage or the lease cannot be trusted, and recovery
            // does it better. The next process begins from what is on the disk.
            context.Note($"{host.Stopped.Exception?.InnerException?.Message ?? "the engine stopped"}: ending with {ExitCodes.Restart}, to be started again");
            return ExitCodes.Restart;
        }

        context.Progress("caisson: stopping; running steps may finish, a second signal ends at once");
        await host.DrainAsync();
        await host.DisposeAsync();
        context.Progress("caisson: stopped");
        return ExitCodes.Ok;
    }

    /// <summary>This very command without <c>--supervise</c>, on the address that was bound.</summary>
    private static List<string> OwnCommand(ListenSocket socket)
    {
        var program = Environment.ProcessPath ?? throw new InvalidOperationException("the process has no path");
        var command = new List<string> { program };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
            command.Add(Assembly.GetExecutingAssembly().Location);
        command.AddRange(Environment.GetCommandLineArgs().Skip(1).Where(a => a != "--supervise"));
        command.AddRange(["--listen", socket.Address.ToString()]);
        return command;
    }
}
