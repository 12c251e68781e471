using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Turns;

/// <summary>Why a turn ends before its agent does.</summary>
internal abstract record RunHalt
{
    /// <summary>Somebody asked; the session knows who and what.</summary>
    internal sealed record Requested : RunHalt;

    internal sealed record AtLimit(LimitDenial Denial) : RunHalt;

    /// <summary>What it wants to start is stopped by the kill switch; the run itself need not be.</summary>
    internal sealed record Killed(Failure Failure) : RunHalt;

    internal sealed record Exhausted(Failure Failure) : RunHalt;

    internal sealed record Failed(Failure Failure) : RunHalt;

    internal sealed record Drifted(DriftReport Report) : RunHalt;

    internal sealed record Looping(Loops.LoopVerdict Verdict) : RunHalt;

    /// <param name="Crashes">Crashes of the server in which this run alone was at work.</param>
    internal sealed record Poisoned(int Crashes) : RunHalt;

    internal sealed record OtherVersion(string From, string To, DriftReport Report) : RunHalt;

    /// <summary>A person must say how a step came out.</summary>
    internal sealed record Unknown(string Step) : RunHalt;
}

/// <summary>Ends the execution of one operation and with it the turn. Never seen by an agent's code.</summary>
internal sealed class RunHaltException(RunHalt halt) : Exception(halt.ToString())
{
    internal RunHalt Halt { get; } = halt;
}

/// <summary>How a turn came out.</summary>
internal abstract record TurnEnd
{
    internal sealed record Completed(string Result) : TurnEnd;

    internal sealed record Halted(RunHalt Halt) : TurnEnd;

    /// <summary>It only waits, and has done so for long enough to be unloaded.</summary>
    internal sealed record Idle : TurnEnd;

    /// <summary>A shadow replay came to the end of the journal without drift.</summary>
    internal sealed record Clean : TurnEnd;
}
