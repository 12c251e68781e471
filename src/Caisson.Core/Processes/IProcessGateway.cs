using Caisson.Contracts;
using Caisson.Core.Egress;
using Caisson.Core.Journal;
using Caisson.Core.Models;

namespace Caisson.Core.Processes;

/// <summary>Serves the calls of programs that know nothing of this runtime: model requests, on their own wires.</summary>
public interface IProcessGateway
{
    /// <summary>Begins one ownership of one run.</summary>
    IProcessCalls Begin(IProcessRun run);
}

/// <summary>The calls of one ownership. They outlive the program that asked: what is under way upstream is paid for, and is journaled.</summary>
public interface IProcessCalls : IAsyncDisposable
{
    /// <summary>Ways in for one start of the program. Each start may be answered every recorded call anew, once.</summary>
    IBoxDoors Open();

    /// <summary>Completes when nothing is under way upstream.</summary>
    Task SettledAsync();
}

/// <summary>What the calls of a program work on: its run, as far as they may touch it.</summary>
public interface IProcessRun
{
    RunId Run { get; }

    AgentManifest Manifest { get; }

    /// <summary>What the run was given: words of it are the task, and stand for nothing else.</summary>
    string Input { get; }

    bool MoneyIsCapped { get; }

    /// <summary>Ends when the ownership does.</summary>
    CancellationToken Owned { get; }

    /// <summary>Whether the run is about to halt: nothing more is answered, and nothing begun.</summary>
    bool IsHalting { get; }

    /// <summary>Every step that is completed, in the journal's order: of earlier starts, and of this one so far.</summary>
    IReadOnlyList<StepRecord> Recorded { get; }

    /// <summary>A call that nothing recorded answers: its step's key is the next free one of this identity.</summary>
    IStepLog NewCall(string identity);

    /// <summary>What it does beside model calls: each a step, whose way is the engine's own.</summary>
    IProcessSteps Steps { get; }

    /// <summary>The run cannot go on like this: the program is ended, unanswered, and the run pauses or fails.</summary>
    void Halt(ModelOutcome why);
}
