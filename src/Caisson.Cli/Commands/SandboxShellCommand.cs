using System.CommandLine;
using System.Runtime.InteropServices;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;

namespace Caisson.Cli.Commands;

/// <summary><c>caisson sandbox shell BOX [-- COMMAND]</c>: a terminal in a live box. Its exit code is the command's.</summary>
internal static class SandboxShellCommand
{
    private static readonly Argument<string> Box = SandboxCommands.Box();
    private static readonly Argument<string[]> Program = new("COMMAND") { Description = "Program and arguments, after '--' (default: the box's shell)", Arity = ArgumentArity.ZeroOrMore };

    internal static Command Create(Shell shell)
    {
        var command = new Command("shell", "Open a terminal in a live box") { Box, Program };
        shell.Bind(command, SandboxCommands.PassingOn(RunAsync));
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context)
    {
        if (!RawTerminal.IsThere)
            throw CommandFailure.Usage("a shell needs a terminal on standard input and output: use 'caisson sandbox exec' from programs");
        var term = Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } name ? name : "xterm";
        await using var shell = await context.Client.OpenShellAsync(context.Get(Box), context.Get(Program), term, RawTerminal.Size, context.Interrupted);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.Interrupted);
        // At a hang-up and at Ctrl-\ from outside the terminal must be put back as well.
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, signal => Stop(signal, over));
        using var quit = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, signal => Stop(signal, over));
        using var resized = OperatingSystem.IsWindows() ? null : PosixSignalRegistration.Create(PosixSignal.SIGWINCH, signal => _ = ResizeAsync(shell, over.Token));
        using (RawTerminal.Enter())
        {
            _ = Task.Run(() => TypeAsync(shell, over.Token), CancellationToken.None);
            var buffer = new byte[16 * 1024];
            try
            {
                while (await shell.ReadAsync(buffer, over.Token) is > 0 and var count)
                    context.Terminal.WriteBytes(buffer.AsSpan(0, count));
            }
            catch (OperationCanceledException) when (over.IsCancellationRequested)
            {
                return ExitCodes.Interrupted;
            }

            await over.CancelAsync();
        }

        if (shell.End?.ExitCode is { } exit)
            return exit;
        var code = shell.End?.Code ?? ErrorCodes.ServerUnreachable;
        return context.Fail(ExitCodes.NoCommand, new Problem(code, 0, code, code == ErrorCodes.ServerUnreachable
            ? "the connection broke, and the command is killed: try again when the server is back"
            : $"the box ended under the shell ({code}): its run gets another one at its next step"));
    }

    /// <summary>It sits on a thread of its own all the while: a terminal cannot be read any other way.</summary>
    private static async Task TypeAsync(SandboxShell shell, CancellationToken cancellationToken)
    {
        var buffer = new byte[4096];
        try
        {
            while (!cancellationToken.IsCancellationRequested && RawTerminal.Read(buffer) is >= 0 and var count)
                await shell.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // The shell has ended; whoever reads it tells how.
        }
    }

    private static async Task ResizeAsync(SandboxShell shell, CancellationToken cancellationToken)
    {
        try
        {
            await shell.ResizeAsync(RawTerminal.Size, cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // Too late.
        }
    }

    private static void Stop(PosixSignalContext signal, CancellationTokenSource over)
    {
        signal.Cancel = true;
        over.Cancel();
    }
}
