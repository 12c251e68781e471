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

    private static readonly Option<bool> Interactive = new("--interactive", "-i") { Description = "Pass on standard input, read to its end first; without it the command reads nothing" };

    internal static Command Create(Shell shell)
    {
        var command = new Command("exec", "Run a command in a live box") { Box, Program, Timeout, Directory, Variables, Interactive };
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

        var input = context.Get(Interactive) ? await InputAsync(context.Interrupted) : null;
        var request = new SandboxExecRequest(context.Get(Program), context.Get(Directory), variables, timeout?.TotalSeconds, input);
        using var error = Console.OpenStandardError();
        await foreach (var line in context.Client.ExecAsync(context.Get(Box), request, context.Interrupted))
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

    /// <summary>Only where it is asked for, as others do it: a loop that reads lines would lose them to the command.</summary>
    private static async Task<byte[]> InputAsync(CancellationToken cancellationToken)
    {
        if (!Console.IsInputRedirected)
            throw CommandFailure.Usage("-i passes on a pipe or a file: 'caisson sandbox shell' gives the box a terminal");
        await using var stdin = Console.OpenStandardInput();
        using var bytes = new MemoryStream();
        var buffer = new byte[64 * 1024];
        for (int count; (count = await stdin.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            await bytes.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
            if (bytes.Length > SandboxExecRequest.MaxStdinBytes)
                throw new CommandFailure(ExitCodes.NoCommand, ErrorCodes.PayloadTooLarge,
                    $"standard input has more than {Output.Format.Bytes(SandboxExecRequest.MaxStdinBytes)}, and nothing was run: take a file in with 'caisson sandbox cp' and have the command read that");
        }

        return bytes.ToArray();
    }

    private delegate void Writer(ReadOnlySpan<byte> bytes);

    /// <summary>As it is into a file or pipe; onto a terminal without what could steer it.</summary>
    private static void Write(byte[] bytes, bool isTerminal, Writer write) =>
        write(isTerminal ? System.Text.Encoding.UTF8.GetBytes(string.Join('\n', PlainText.Lines(System.Text.Encoding.UTF8.GetString(bytes)))) : bytes);
}
