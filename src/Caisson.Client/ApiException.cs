using Caisson.Contracts;

namespace Caisson.Client;

/// <summary>The server refused: the problem says what, where and what to do.</summary>
public sealed class ApiException(Problem problem) : Exception(problem.Detail)
{
    public Problem Problem { get; } = problem;
}

/// <summary>Nobody answered, or the connection broke before the answer was whole.</summary>
/// <param name="neverConnected">No byte of the request was taken: it is safe to send it again.</param>
public sealed class ServerUnreachableException(Uri? address, bool neverConnected, Exception inner)
    : Exception($"no Caisson server answers at {address} ({inner.Message})", inner)
{
    public Uri? Address { get; } = address;

    public bool NeverConnected { get; } = neverConnected;
}
