using System.CommandLine;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson wait RUN</c>: until it has ended or stands paused.</summary>
internal static class WaitCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Option<string?> Limit = new("--timeout") { Description = "Stop waiting after this time (30s); the run goes on", HelpName = "TIME" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("wait", "Wait for a run and print its result") { Run, Limit };
        shell.Bind(command, async context =>
        {
            var timeout = context.Duration(Limit);

            // The first look is not patient: a wrong address should be told at once.
            var run = await context.Client.GetRunAsync(context.Get(Run), context.Interrupted);
            return RunReport.Write(context, await new RunWatch(context).UntilAtRestAsync(run.Id, run.LastSeq, null, timeout));
        });
        return command;
    }
}
