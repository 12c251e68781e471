using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson cancel | pause RUN</c>. What is asked is recorded at once; the command then waits until the owner has done it.</summary>
internal static class SteerCommands
{
    internal static Command Cancel(Shell shell) => Create(shell, "cancel", "End a run", "cancelled",
        (context, run, reason) => context.Client.CancelAsync(run, reason, context.Interrupted),
        run => run.Status.IsFinal());

    internal static Command Pause(Shell shell) => Create(shell, "pause", "Stop a run until it is resumed", "paused",
        (context, run, reason) => context.Client.PauseAsync(run, reason, context.Interrupted),
        run => run.Status == RunStatus.Paused || run.Status.IsFinal());

    private static Command Create(Shell shell, string name, string description, string done, Func<CommandContext, string, string?, Task<RunView>> ask, Func<RunView, bool> fits)
    {
        var run = RunArgument.Create();
        var reason = new Option<string?>("--reason") { Description = "Why; it is journaled", HelpName = "TEXT" };
        var noWait = new Option<bool>("--no-wait") { Description = "Do not wait until it has happened" };
        var command = new Command(name, description) { run, reason, noWait };
        shell.Bind(command, async context =>
        {
            var view = await ask(context, context.Get(run), context.Get(reason));
            if (!context.Get(noWait))
                view = await new RunWatch(context).UntilTakenAsync(view, fits);
            if (context.IsJson)
                context.Json(view, ApiJson.Default.RunView);
            else
                context.Terminal.WriteLine(context.Get(noWait) ? $"{view.Id} will be {done}" : $"{view.Id} is {Format.Status(view)}");
            return ExitCodes.Ok;
        });
        return command;
    }
}
