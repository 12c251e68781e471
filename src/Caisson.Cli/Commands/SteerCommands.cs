using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson cancel | pause RUN</c>. What is asked is recorded at once; the command then waits until the owner has done it.</summary>
internal static class SteerCommands
{
    internal static Command Cancel(Shell shell) => Create(shell, "cancel", "End a run", "cancelled",
        (context, run, reason) => context.Client.CancelAsync(run, reason, context.Interrupted), "run_ended");

    internal static Command Pause(Shell shell) => Create(shell, "pause", "Stop a run until it is resumed", "paused",
        (context, run, reason) => context.Client.PauseAsync(run, reason, context.Interrupted), "paused", "run_ended");

    private static Command Create(Shell shell, string name, string description, string done, Func<CommandContext, string, string?, Task<RunView>> ask, params string[] kinds)
    {
        var run = RunArgument.Create();
        var reason = new Option<string?>("--reason") { Description = "Why; it is journaled", HelpName = "TEXT" };
        var noWait = new Option<bool>("--no-wait") { Description = "Do not wait until it has happened" };
        var command = new Command(name, description) { run, reason, noWait };
        shell.Bind(command, async context =>
        {
            var before = await context.Client.GetRunAsync(context.Get(run), context.Interrupted);
            var view = await ask(context, before.Id, context.Get(reason));
            var pausedAlready = name == "pause" && before.Status == RunStatus.Paused;
            if (!context.Get(noWait) && !pausedAlready)
                view = await new RunWatch(context).UntilTakenAsync(before, kinds);
            if (context.IsJson)
                context.Json(view, ApiJson.Default.RunView);
            else
                context.Terminal.WriteLine(context.Get(noWait) ? $"{view.Id} will be {done}" : $"{view.Id} is {Format.Status(view)}");
            return ExitCodes.Ok;
        });
        return command;
    }
}
