using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Contracts;
using Caisson.Core;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson sandbox exec BOX -- COMMAND</c>: a command in a live box, its output and its exit code.</summary>
internal static class SandboxExecCommand
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromMinutes(2);
    private static readonly Argument<string> Box = SandboxCommands.Box();
    private static readonly Argument<string[]> Program = new("COMMAND") { Description = "Program and arguments, after '--'; no shell reads them", Arity = ArgumentArity.OneOrMore };
    private static readonly Option<string?> Timeout = new("--timeout") { Description = "After it the command is killed (default 2m, at most 1d)", HelpName = "TIME" };
    private static readonly Option<string?> Directory = new("--dir") { Description = "Where it runs, below the workspace unless absolute", HelpName = "PATH" };
    private static readonly Option<string[]> Variables = new("--env", "-e") { Description = "A variable of its environment; may be repeated", HelpName = "K=V" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("exec", "Run a command in a live box") { Box, Program, Timeout, Directory, Variables };
        shell.Bind(command, SandboxCommands.PassingOn(RunAsync));
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context)
    {
        var timeout = context.Duration(Timeout);
        var variables = new Dictionary<string, string>();
        foreach (var variable in context.Get(Variables) ?? [])
        {
            var at = variable.IndexOf('=', StringComparison.Ordinal);
            variables[at > 0 ? variable[..at] : throw CommandFailure.Usage($"--env: found '{variable}', allowed is NAME=VALUE")] = variable[(at + 1)..];
        }

        using var error = Console.OpenStandardError();
        await foreach (var line in context.Client.ExecAsync(context.Get(Box), new SandboxExecRequest(context.Get(Program), context.Get(Directory), variables, timeout?.TotalSeconds), context.Interrupted))
        {
            if (context.IsJson)
                context.Terminal.WriteLineNow(JsonOut.Text(line, SandboxJson.Default.SandboxExecEvent, indented: false));
            else if (line.Stdout is { } stdout)
                Write(stdout, context.Terminal.OutIsTerminal, context.Terminal.WriteBytes);
            else if (line.Stderr is { } stderr)
                Write(stderr, context.Terminal.ErrorIsTerminal, bytes => error.Write(bytes));
            if (line.ExitCode is { } code)
                return code;
            if (line.Failure is { } failure)
                return context.Fail(ExitCodes.NoCommand, new Problem(failure.Code, 0, failure.Code, failure.Message));
            if (line.TimedOut)
                return context.Fail(ExitCodes.NoCommand, new Problem("step timeout", 0, ErrorCodes.StepTimeout, $"the command was killed after {Durations.Text(timeout ?? DefaultTimeout)}: --timeout gives it longer"));
        }

        return context.Fail(ExitCodes.NoCommand, new Problem("server unreachable", 0, ErrorCodes.ServerUnreachable, "the server ended before the command did, and killed it: try again when it is back"));
    }

    private delegate void Writer(ReadOnlySpan<byte> bytes);

    /// <summary>As it is into a file or pipe; onto a terminal without what could steer it.</summary>
    private static void Write(byte[] bytes, bool isTerminal, Writer write) =>
        write(isTerminal ? System.Text.Encoding.UTF8.GetBytes(string.Join('\n', PlainText.Lines(System.Text.Encoding.UTF8.GetString(bytes)))) : bytes);
}
