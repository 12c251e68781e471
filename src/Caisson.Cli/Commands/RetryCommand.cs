using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson retry RUN</c>: lets a run go on that paused because of a trouble, once that is mended.</summary>
internal static class RetryCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<string> By = ByOption.Create();
    private static readonly Option<bool> Wait = new("--wait") { Description = "Wait for the end and print the result" };
    private static readonly Option<bool> Stream = new("--stream") { Description = "Show steps as they happen; implies --wait" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("retry", "Let a run go on whose trouble is mended") { Run, By, Wait, Stream };
        shell.Bind(command, RetryAsync);
        return command;
    }

    private static async Task<int> RetryAsync(CommandContext context)
    {
        var before = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        await context.Client.RetryAsync(before.Id, context.Get(By), context.Interrupted);

        // One whose journal still cannot be read pauses again without having been resumed.
        var view = await new RunWatch(context).UntilTakenAsync(before, "resumed", "paused", "run_ended");
        if (context.Get(Wait) || context.Get(Stream))
            return await RunCommand.WatchAsync(context, view.Id, before.LastSeq, context.Get(Stream));
        if (context.IsJson)
            context.Json(view, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLine($"{view.Id} is {Format.Status(view)}");
        return ExitCodes.Ok;
    }
}
