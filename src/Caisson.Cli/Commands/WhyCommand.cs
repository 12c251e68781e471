using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson why RUN</c>: what it does or waits for, since when, what wakes it, and what a person can do.</summary>
internal static class WhyCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();

    internal static Command Create(Shell shell)
    {
        var command = new Command("why", "Say why a run stands where it stands, and what to do") { Run };
        shell.Bind(command, ExplainAsync);
        return command;
    }

    private static async Task<int> ExplainAsync(CommandContext context)
    {
        var why = await context.Client.WhyAsync(context.Get(Run), context.Interrupted);
        if (context.IsJson)
            context.Json(why, OperationsJson.Default.WhyView);
        else
        {
            foreach (var line in Lines(why, context.Shell.Clock.GetUtcNow()))
                context.Terminal.WriteLine(line);
        }

        return ExitCodes.Ok;
    }

    private static IEnumerable<string> Lines(WhyView why, DateTimeOffset now)
    {
        yield return $"run {why.Run} of {PlainText.Line(why.Agent)} {PlainText.Line(why.Doing)}";
        yield return $"  since   {why.Since:u}, {Format.Duration(now - why.Since)} ago";
        if (why.Wakes is { } wakes)
            yield return $"  wakes   {PlainText.Line(wakes)}";
        else if (!why.Status.IsFinal())
            yield return "  wakes   nothing by itself: a person must";
        foreach (var fact in why.Facts)
            yield return $"  note    {PlainText.Line(fact)}";
        var width = why.Next.Select(next => next.Command.Length).DefaultIfEmpty().Max();
        foreach (var next in why.Next)
            yield return $"  do      {PlainText.Line(next.Command).PadRight(width)}  {PlainText.Line(next.Effect)}";
    }
}
