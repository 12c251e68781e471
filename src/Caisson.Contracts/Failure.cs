namespace Caisson.Contracts;

/// <summary>Something that went wrong, as data: it is journaled, replayed and sent.</summary>
/// <param name="Code">A stable code of <see cref="ErrorCodes"/>; each has a page in docs/errors.</param>
/// <param name="Message">One line: what, where, what to do.</param>
/// <param name="Retryable">Whether the same call may succeed later without a change.</param>
public sealed record Failure(string Code, string Message, bool Retryable = false);

/// <summary>Trouble with the environment: a file, a process, a socket. Expected outcomes are values instead.</summary>
public sealed class CaissonException(string code, string message, bool isTransient = false, Exception? inner = null)
    : Exception(message, inner)
{
    public string Code { get; } = code;

    /// <summary>Whether the same operation may succeed later without a change.</summary>
    public bool IsTransient { get; } = isTransient;

    public Failure ToFailure() => new(Code, Message, IsTransient);
}
