using System.CommandLine;
using Caisson.Cli.Output;
using Caisson.Client;
using Caisson.Contracts;
using Caisson.Core;

namespace Caisson.Cli;

/// <summary>What every command gets from its process: a terminal, a clock, ids, and word when the user interrupts.</summary>
/// <param name="supervised">The socket that a supervisor lends, if there is one, and how many servers it had before.</param>
internal sealed class Shell(Terminal terminal, TimeProvider clock, IIdSource ids, Signals signals, (int? Listen, int Restarts) supervised)
{
    internal Terminal Terminal { get; } = terminal;

    internal TimeProvider Clock { get; } = clock;

    internal IIdSource Ids { get; } = ids;

    internal Signals Signals { get; } = signals;

    internal CancellationToken Interrupted => Signals.First;

    internal int? ListenDescriptor { get; } = supervised.Listen;

    internal int Restarts { get; } = supervised.Restarts;

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
                return context.Fail(ExitCodes.Unreachable, new Problem("server unreachable", 0, ErrorCodes.ServerUnreachable,
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
            catch (Exception e)
            {
                // The process's edge: whatever nobody foresaw is a bug, and still one line.
                var how = context.Verbose ? e.ToString() : $"{e.GetType().Name}: {e.Message}";
                return context.Fail(ExitCodes.Failed, new Problem("internal", 0, ErrorCodes.Internal, $"this is a bug in caisson: {how}; -v shows where"));
            }
        });

    private static bool IsBrokenPipe(Exception e) => e is IOException { HResult: StdoutStream.BrokenPipe };
}
