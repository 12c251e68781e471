using Caisson.Contracts;

namespace Caisson.Cli;

/// <summary>Ends a command with one line: what, where, what to do.</summary>
internal sealed class CommandFailure(int exit, string code, string message) : Exception(message)
{
    internal int Exit { get; } = exit;

    internal Problem Problem { get; } = new(code.Replace('_', ' '), 0, code, message);

    internal static CommandFailure Usage(string message) => new(ExitCodes.Usage, ErrorCodes.Usage, message);

    internal static CommandFailure Of(Failure failure) =>
        new(ExitCodes.Of(new Problem("", 0, failure.Code, failure.Message)), failure.Code, failure.Message);
}
