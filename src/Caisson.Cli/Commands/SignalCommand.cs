using System.CommandLine;
using System.Globalization;
using System.Text;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core.Operations;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson signal RUN NAME</c>: tells a run something; it is kept until the run asks for it.</summary>
internal static class SignalCommand
{
    private static readonly Argument<string> Run = RunArgument.Create();
    private static readonly Argument<string> Name = new("NAME") { Description = "Which signal: what the agent waits for" };
    private static readonly Option<string?> Data = new("--data") { Description = "JSON, @FILE, or - for stdin; null by default", HelpName = "JSON" };
    private static readonly Option<string?> Id = new("--id") { Description = "The same id counts once", HelpName = "ID" };
    private static readonly Option<string> By = ByOption.Create();

    internal static Command Create(Shell shell)
    {
        var command = new Command("signal", "Send a signal to a run") { Run, Name, Data, Id, By };
        shell.Bind(command, SendAsync);
        return command;
    }

    private static async Task<int> SendAsync(CommandContext context)
    {
        var name = context.Get(Name);
        if (!RunOperations.IsSignalName(name))
            throw CommandFailure.Usage($"NAME: found '{name}', allowed are up to 100 of the characters a-z, A-Z, 0-9, '.', '_' and '-'");
        var data = Encoding.UTF8.GetBytes(await InputText.ReadAsync(context.Get(Data), "--data", RunOperations.MaxSignalBytes, context.Interrupted) ?? "");

        // With an id of our own a signal whose answer was lost can be sent again and counts once.
        var id = context.Get(Id) ?? context.Shell.Ids.NextRandom().ToString("N", CultureInfo.InvariantCulture);
        var (run, existing) = await Resend.UntilAnsweredAsync(context, token => context.Client.SignalAsync(context.Get(Run), name, data, id, context.Get(By), token));
        if (context.IsJson)
            context.Json(run, ApiJson.Default.RunView);
        else
            context.Terminal.WriteLine(existing && context.Get(Id) is not null
                ? $"signal '{name}' with this id is there already; run {run.Id} is {Format.Status(run)}"
                : $"signal '{name}' is recorded for run {run.Id}, which is {Format.Status(run)}");
        return ExitCodes.Ok;
    }
}
