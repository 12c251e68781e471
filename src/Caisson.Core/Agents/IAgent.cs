using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Models;

namespace Caisson.Core.Agents;

/// <summary>
/// What a run executes. Called anew for every ownership: it must take the same way through recorded steps each time,
/// and may act on the world only in steps.
/// </summary>
public interface IAgent
{
    /// <returns>The run's result.</returns>
    Task<string> RunAsync(RunContext context, CancellationToken cancellationToken);
}

/// <summary>Unwinds an agent's code when its run must halt. Agents let it pass.</summary>
public sealed class RunHaltException : Exception
{
    internal RunHaltException(RunHalt halt) : base(halt.ToString()) => Halt = halt;

    internal RunHalt Halt { get; }
}

/// <summary>Why an agent's turn ends before its result.</summary>
internal abstract record RunHalt
{
    /// <summary>Somebody asked; the session knows who and what.</summary>
    internal sealed record Requested : RunHalt;

    internal sealed record AtLimit(LimitDenial Denial) : RunHalt;

    internal sealed record Exhausted(Failure Failure) : RunHalt;

    internal sealed record Failed(Failure Failure) : RunHalt;

    internal sealed record Drifted(DriftReport Report) : RunHalt;

    internal sealed record Looping(Loops.LoopVerdict Verdict) : RunHalt;
}
