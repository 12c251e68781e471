using Caisson.Contracts;

namespace Caisson.Core.Sandboxes;

/// <summary>A command of a box on a terminal. Disposing of it kills the command and all that it started there.</summary>
public interface ISandboxTerminal : IAsyncDisposable
{
    /// <summary>What the terminal shows, as it comes, until the command's end. One reader.</summary>
    IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(CancellationToken cancellationToken);

    /// <summary>Types. Waits while the box takes no more; what is typed after the end is dropped.</summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    ValueTask ResizeAsync(TerminalSize size, CancellationToken cancellationToken);

    /// <summary>How the command ended: its exit code, or why the box was lost.</summary>
    Task<TerminalEnd> Ended { get; }
}

public readonly record struct TerminalSize(ushort Rows, ushort Columns);

public sealed record TerminalRequest(
    IReadOnlyList<string> Command, string? Directory, IReadOnlyDictionary<string, string> Environment, TerminalSize Size);

/// <param name="ExitCode">128 + the signal where a signal ended it.</param>
/// <param name="Failure">Why there is no exit code.</param>
public sealed record TerminalEnd(int? ExitCode, Failure? Failure);

public abstract record TerminalOutcome
{
    public sealed record Opened(ISandboxTerminal Terminal) : TerminalOutcome;

    public sealed record NotStarted(Failure Failure) : TerminalOutcome;

    public sealed record Lost(Failure Failure) : TerminalOutcome;
}
