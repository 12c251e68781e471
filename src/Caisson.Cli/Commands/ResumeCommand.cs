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
        var view = await context.Client.ResumeAsync(context.Get(Run), limits.Read(context), context.Interrupted);
        var before = view.LastSeq;

        // Without this a 'wait' right after could still see the pause that was just lifted.
        if (view.Status == RunStatus.Paused)
            view = await new RunWatch(context).UntilTakenAsync(view, run => run.Status != RunStatus.Paused || run.LastSeq > before + 1);
        if (context.Get(Wait) || context.Get(Stream))
            return await RunCommand.WatchAsync(context, view.Id, before, context.Get(Stream));
        if (context.IsJson)
            context.Json(view, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLine($"{view.Id} is {Format.Status(view)}");
        return ExitCodes.Ok;
    }
}
