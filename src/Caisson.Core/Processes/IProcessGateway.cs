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
    /// <param name="steps">What this start may ask beside calling models.</param>
    IBoxDoors Open(IProcessSteps steps);

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

    /// <summary>A request was answered from the journal.</summary>
    /// <param name="seq">The entry that answered.</param>
    /// <param name="level"><c>L0</c> to <c>L3</c>.</param>
    void Replayed(long seq, string level, bool isExact);

    /// <summary>Something is asked for that no record answers: what was answered from records so far is written down first.</summary>
    Task GoLiveAsync();

    /// <summary>The program parts from its journal. Halts the run where its policy says so.</summary>
    Task DivergeAsync(DriftReport report);

    /// <summary>Looks for a program that goes round in circles. Halts the run where its policy says so.</summary>
    /// <param name="recorded">The request is answered from the journal: it counts, and nothing acts.</param>
    /// <returns>A word of warning for the model, or <c>null</c>.</returns>
    Task<string?> WatchAsync(ConversationSeen seen, bool recorded);

    /// <summary>What is executed for it beside model calls: each a step, whose way is the engine's own.</summary>
    IProcessTools Tools { get; }

    /// <summary>The run cannot go on like this: the program is ended, unanswered, and the run pauses or fails.</summary>
    void Halt(ModelOutcome why);
}
