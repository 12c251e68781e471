using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.Core;

namespace Caisson.Cli;

/// <summary>What every command gets from its process: a terminal, a clock, ids, and word when the user interrupts.</summary>
/// <param name="listenDescriptor">The socket that a supervisor lends, or <c>null</c>.</param>
internal sealed class Shell(Terminal terminal, TimeProvider clock, IIdSource ids, Signals signals, int? listenDescriptor)
{
    internal Terminal Terminal { get; } = terminal;

    internal TimeProvider Clock { get; } = clock;

    internal IIdSource Ids { get; } = ids;

    internal Signals Signals { get; } = signals;

    internal CancellationToken Interrupted => Signals.First;

    internal int? ListenDescriptor { get; } = listenDescriptor;

    internal void Bind(Command command, Func<CommandContext, Task<int>> act) =>
        command.SetAction(async (parse, _) =>
        {
            using var context = new CommandContext(this, parse);
            try
            {
                var exit = await act(context);
                Terminal.Flush();
                return exit;
            }
            catch (Exception e) when (e is not CommandFailure && IsBrokenPipe(e))
            {
                // Whoever read our output has had enough.
                return ExitCodes.Ok;
            }
            catch (CommandFailure e)
            {
                return context.Fail(e.Exit, e.Problem);
            }
            catch (ApiException e)
            {
                return context.Fail(ExitCodes.Of(e.Problem), e.Problem);
            }
            catch (ServerUnreachableException e)
            {
                return context.Fail(ExitCodes.Unreachable, new Problem("server unreachable", 0, "server_unreachable",
                    $"{e.Message}: start one with 'caisson dev' or 'caisson serve', or name it with --server"));
            }
            catch (CaissonException e)
            {
                var failure = CommandFailure.Of(e.ToFailure());
                return context.Fail(failure.Exit, failure.Problem);
            }
            catch (OperationCanceledException) when (Interrupted.IsCancellationRequested)
            {
                context.Note(context.OnInterrupt ?? "interrupted");
                return ExitCodes.Interrupted;
            }
        });

    private static bool IsBrokenPipe(Exception e) => e is IOException { HResult: StdoutStream.BrokenPipe };
}
