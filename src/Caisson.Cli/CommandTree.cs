using System.CommandLine;
using System.CommandLine.Parsing;
using Caisson.Cli.Commands;
using Caisson.Contracts;

namespace Caisson.Cli;

/// <summary>All commands. Parsing is the library's; what it refuses leaves as one line and exit code 2.</summary>
internal static class CommandTree
{
    internal static RootCommand Create(Shell shell)
    {
        var root = new RootCommand("Caisson: the runtime layer for AI agents. Durable, contained, resumable.");
        foreach (var option in new Option[] { GlobalOptions.Output, GlobalOptions.Server, GlobalOptions.Quiet, GlobalOptions.Verbose, GlobalOptions.NoColor })
            root.Options.Add(option);
        foreach (var create in new Func<Shell, Command>[]
        {
            DevCommand.Create, ServeCommand.Create, RunCommand.Create, ExecCommand.Create, PsCommand.Create, GetCommand.Create, LogsCommand.Create,
            WhyCommand.Create, TraceCommand.Create, JournalCommand.Create, BundleCommand.Create, SteerCommands.Cancel, SteerCommands.Pause,
            ResumeCommand.Create, RetryCommand.Create, SignalCommand.Create, ApprovalCommands.List, ApprovalCommands.Approve, ApprovalCommands.Deny,
            ResolveCommand.Create, ForkCommand.Create, BudgetCommand.Create, KillSwitchCommands.Create, WaitCommand.Create, ScheduleCommands.Create, SandboxCommands.Create, PricesCommands.Create, DoctorCommand.Create, MockModelCommand.Create, VersionCommand.Create,
        })
            root.Subcommands.Add(create(shell));
        return root;
    }

    internal static async Task<int> InvokeAsync(Shell shell, IReadOnlyList<string> args)
    {
        // Response files are off: '@' begins the name of an input file here.
        var parse = Create(shell).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parse.Errors.Count > 0 && parse.Action is not System.CommandLine.Help.HelpAction)
        {
            var name = NameOf(parse.CommandResult);
            // The word that nobody knows says more than the command that is missing because of it.
            var error = parse.UnmatchedTokens.Count > 0 ? $"unknown command or argument '{parse.UnmatchedTokens[0]}'" : parse.Errors[0].Message.TrimEnd('.');
            return shell.Terminal.Fail(GlobalOptions.Format(parse), ExitCodes.Usage, new("usage", 0, ErrorCodes.Usage, $"{error}: see '{name} --help'"));
        }

        // Signals are handled by us, and exceptions beyond those that commands know are bugs that should be seen whole.
        return await parse.InvokeAsync(new InvocationConfiguration
        {
            Output = shell.Terminal.Out,
            Error = shell.Terminal.Error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        });
    }

    private static string NameOf(CommandResult command) =>
        command is { Command: not RootCommand, Parent: CommandResult above } ? $"{NameOf(above)} {command.Command.Name}" : "caisson";
}
