using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson resume RUN</c>: lets a paused run go on, with limits raised where given.</summary>
internal static class ResumeCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<bool> Wait = new("--wait") { Description = "Wait for the end and print the result" };
    private static readonly Option<bool> Stream = new("--stream") { Description = "Show steps as they happen; implies --wait" };

    internal static Command Create(Shell shell)
    {
        var limits = new LimitOptions();
        var command = new Command("resume", "Let a paused run go on, with raised limits") { Run, Wait, Stream };
        limits.AddTo(command);
        shell.Bind(command, context => ResumeAsync(context, limits));
        return command;
    }

    private static async Task<int> ResumeAsync(CommandContext context, LimitOptions limits)
    {
        var before = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        var view = await context.Client.ResumeAsync(before.Id, limits.Read(context), context.Interrupted);

        // Without this a 'wait' right after could still see the pause that is being lifted.
        if (before.Status == RunStatus.Paused)
            view = await new RunWatch(context).UntilTakenAsync(before, "resumed", "run_ended");
        if (context.Get(Wait) || context.Get(Stream))
            return await RunCommand.WatchAsync(context, view.Id, before.LastSeq, context.Get(Stream));
        if (context.IsJson)
            context.Json(view, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLine($"{view.Id} is {Format.Status(view)}");
        return ExitCodes.Ok;
    }
}
