using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Cli.Traces;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson trace RUN</c>: the run as a tree, one branch per ownership, with crashes, loops and retries marked.</summary>
internal static class TraceCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<bool> Loops = new("--loops") { Description = "Only where it went round in circles, with their tokens and money" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("trace", "Show a run as a tree of steps, across crashes") { Run, Loops };
        shell.Bind(command, ShowAsync);
        return command;
    }

    private static async Task<int> ShowAsync(CommandContext context)
    {
        var run = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
        var entries = new List<JournalEntryView>();
        await foreach (var entry in context.Client.ReadJournalAsync(run.Id, 0, payloads: false, context.Interrupted))
            entries.Add(entry);
        if (context.Get(Loops))
            return ShowLoops(context, LoopFinder.Find(run.Id, entries));
        var trace = TraceBuilder.Build(run.Id, entries);
        if (context.IsJson)
        {
            context.Json(trace, CliJson.Default.Trace);
            return ExitCodes.Ok;
        }

        foreach (var line in TraceLines.Draw(trace, context.Format == OutputFormat.Wide))
            context.Terminal.WriteLine(line);
        await EgressLines.WriteAsync(context, run.Id);
        return ExitCodes.Ok;
    }

    private static int ShowLoops(CommandContext context, LoopReport report)
    {
        if (context.IsJson)
        {
            context.Json(report, CliJson.Default.LoopReport);
            return ExitCodes.Ok;
        }

        foreach (var line in LoopFinder.Draw(report))
            context.Terminal.WriteLine(line);
        return ExitCodes.Ok;
    }
}
