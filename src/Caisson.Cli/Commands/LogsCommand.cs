using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Cli.Traces;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson logs RUN</c>: the journal as readable lines.</summary>
internal static class LogsCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<bool> Follow = new("--follow", "-f") { Description = "Go on until the run ends" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("logs", "Show what a run did, line by line") { Run, Follow };
        shell.Bind(command, ShowAsync);
        return command;
    }

    private static async Task<int> ShowAsync(CommandContext context)
    {
        var run = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        context.OnInterrupt = $"stopped reading; run {run.Id} is not touched by that";
        var entries = context.Get(Follow)
            ? context.Client.FollowAsync(run.Id, new RunWatch(context).Options(0), context.Interrupted)
            : context.Client.ReadJournalAsync(run.Id, 0, payloads: false, context.Interrupted);
        await foreach (var entry in entries)
        {
            if (context.IsJson)
                context.Terminal.WriteLineNow(JsonOut.Text(entry, ApiJson.Default.JournalEntryView, indented: false));
            else if (StepLines.Of(entry) is { } line)
                context.Terminal.WriteLineNow(line);
        }

        if (!context.IsJson && !context.Get(Follow))
            await EgressLines.WriteAsync(context, run.Id);
        return ExitCodes.Ok;
    }
}
