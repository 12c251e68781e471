using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Agents;

namespace Caisson.Core.Processes;

/// <summary>
/// What one start of a program may ask of its run beside calling models: durable steps, waits and children. Equal
/// questions are told apart by how often this start asked them, and what is recorded is answered as it was. An answer
/// goes to <c>deliver</c>: where that throws, the client is gone without it, and the next equal question gets the same.
/// When the run halts or the start is over, nothing is answered any more, and the calls end with
/// <see cref="OperationCanceledException"/>.
/// </summary>
public interface IProcessSteps
{
    /// <summary>Answers a step from the journal, or gives leave to execute it, its beginning journaled as its effect class asks.</summary>
    Task StepAsync(StepAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone);

    /// <summary>Takes what the program says of an attempt, journals it, and answers what comes next: the record, or another attempt.</summary>
    /// <param name="token">Of the attempt. Said a second time, it is answered like the first.</param>
    Task CompleteAsync(string token, StepEnd end, Func<ProgramAnswer, Task> deliver, CancellationToken gone);

    /// <summary>The attempt is at work: its run's <c>no_progress</c> counts from here.</summary>
    /// <param name="note">Shown to people as long as the attempt lasts; never stored.</param>
    ProgramAnswer Heartbeat(string token, string? note);

    /// <summary>Waits for a time that is journaled at the first call: a program that begins again waits for what is left of it.</summary>
    /// <param name="time">From now, where there is no <paramref name="until"/>.</param>
    Task SleepAsync(string name, TimeSpan time, DateTimeOffset? until, Func<ProgramAnswer, Task> deliver, CancellationToken gone);

    /// <summary>The next signal of this name that no earlier call of this start was given, in order of arrival.</summary>
    /// <param name="timeout"><c>null</c> to wait for ever.</param>
    Task SignalAsync(string name, TimeSpan? timeout, Func<ProgramAnswer, Task> deliver, CancellationToken gone);

    /// <summary>Starts a child run, durably; with <see cref="ChildAsk.Wait"/> it is answered when that has ended.</summary>
    Task SpawnAsync(ChildAsk ask, Func<ProgramAnswer, Task> deliver, CancellationToken gone);

    /// <summary>How a child came out, once it has.</summary>
    Task ChildAsync(string child, Func<ProgramAnswer, Task> deliver, CancellationToken gone);
}

/// <param name="InputHash">Of what the step works on, as far as equal inputs are equal; empty for none.</param>
/// <param name="Shown">The input in short, for people.</param>
/// <param name="Key">The step's own identity instead of name, input and occurrence.</param>
public sealed record StepAsk(string Name, string InputHash, string? Shown, string? Key, EffectClass Effect, UnknownPolicy OnUnknown);

/// <param name="Agent">Where there is no manifest: the program's own agent, by its name.</param>
/// <param name="Manifest">The child's manifest in YAML.</param>
/// <param name="Key">The child's own identity instead of what it is and occurrence.</param>
/// <param name="Detach">It lives on when its parent ends.</param>
/// <param name="Wait">Answer when it has ended.</param>
public sealed record ChildAsk(string Agent, string? Manifest, string Input, string? Key, bool Detach, bool Wait);

/// <summary>What a program says of an attempt.</summary>
public abstract record StepEnd
{
    public sealed record Done(JsonElement Result) : StepEnd;

    /// <summary>It surely did not take effect: it may be tried again, or the failure is the step's result.</summary>
    public sealed record Failed(Failure Failure) : StepEnd;

    /// <summary>It broke in the middle: tried again where that is safe, of unknown outcome where it is not.</summary>
    public sealed record Broke(Failure Failure) : StepEnd;
}

/// <summary>What a program is answered.</summary>
public abstract record ProgramAnswer
{
    /// <param name="Result">JSON.</param>
    public sealed record Recorded(ReadOnlyMemory<byte> Result) : ProgramAnswer;

    /// <summary>The recorded outcome is a failure.</summary>
    public sealed record Failed(Failure Failure) : ProgramAnswer;

    /// <summary>The program is to execute it now.</summary>
    /// <param name="Token">Stands for this attempt when its end is told.</param>
    public sealed record Run(string Token, string IdempotencyKey, int Attempt) : ProgramAnswer;

    /// <summary>Taken; there is nothing to tell.</summary>
    public sealed record Done : ProgramAnswer;

    /// <param name="Signal"><c>null</c>: none came in time.</param>
    public sealed record Signalled(Signal? Signal) : ProgramAnswer;

    public sealed record Spawned(string Child) : ProgramAnswer;

    public sealed record ChildEnded(string Child, ChildOutcome Outcome) : ProgramAnswer;

    /// <summary>The question is wrong: nothing happened.</summary>
    public sealed record Refused(Failure Failure) : ProgramAnswer;
}
