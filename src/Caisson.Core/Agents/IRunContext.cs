using Caisson.Contracts;

namespace Caisson.Core.Agents;

/// <summary>
/// What an agent sees of its run. Every call is safe to make again after a crash: what is recorded is answered, what
/// is not is done. Between calls an agent may compute, and nothing else: clocks, chance, threads and I/O belong into
/// steps, or come from here. Calls are answered one at a time and in the journal's order, so that a replay takes the
/// same way. When a run halts (a pause, a limit, a lost lease) its agent is not told: its pending calls just never return.
/// </summary>
public interface IRunContext
{
    RunId Run { get; }

    AgentManifest Manifest { get; }

    string Input { get; }

    /// <summary>Time of the last answer: the same in every replay.</summary>
    DateTimeOffset Now { get; }

    /// <summary>An id that is the same in every replay.</summary>
    Guid NewGuid();

    /// <summary>Chance that is the same in every replay.</summary>
    Random Random { get; }

    /// <summary>
    /// A named piece of work, recorded once. The same name again is the next occurrence, unless the options give a key.
    /// </summary>
    /// <param name="body">Runs at least once, and never again after its result was recorded. Its result is what every later attempt gets, as JSON of at most 16 MiB.</param>
    /// <exception cref="StepFailedException">The step's recorded outcome is a failure.</exception>
    Task<T> StepAsync<T>(string name, Func<StepContext, Task<T>> body, StepOptions<T>? options = null);

    /// <summary>Waits without holding anything: the run may be unloaded, and comes back when the time has come.</summary>
    Task SleepUntilAsync(DateTimeOffset until);

    /// <summary>The next signal of this name that no earlier call took, in order of arrival, those before the run's start included.</summary>
    /// <param name="timeout"><c>null</c> to wait for ever.</param>
    /// <returns><c>null</c> when the time ran out.</returns>
    Task<Signal?> WaitForSignalAsync(string name, TimeSpan? timeout = null);

    /// <summary>Asks a person, and waits for the answer.</summary>
    Task<ApprovalDecision> ApproveAsync(string question, ApprovalOptions? options = null);

    /// <summary>Starts a child run, durably: it exists when this returns.</summary>
    /// <exception cref="StepFailedException">The child was refused: an unknown agent, a cyclic spawn.</exception>
    Task<ChildRun> SpawnAsync(ChildSpec child);

    /// <summary>
    /// A part of the agent that runs beside others, with a scope of its own: what two branches do under the same names
    /// is told apart however their steps interleave.
    /// </summary>
    Task<T> BranchAsync<T>(Func<IRunContext, Task<T>> branch);

    /// <summary>Saves what the agent needs to go on from here, so that a replay begins here. Call it only when nothing else is under way.</summary>
    Task SnapshotAsync(ReadOnlyMemory<byte> state);

    /// <summary>State of the last snapshot, or <c>null</c> at the start of a run that has none.</summary>
    ReadOnlyMemory<byte>? Saved { get; }
}

/// <summary>What the body of a step gets.</summary>
/// <param name="IdempotencyKey">The same for every attempt of this step, and no other's; a fork has its own. Send it with whatever must not happen twice.</param>
/// <param name="Attempt">From 1.</param>
/// <param name="Epoch">The present ownership of the run: a receiver that has seen a higher one may refuse this one.</param>
/// <param name="Cancellation">Ends when the attempt must: the run is cancelled, its deadline is over, its ownership lost.</param>
public sealed record StepContext(string IdempotencyKey, int Attempt, long Epoch, CancellationToken Cancellation);

public sealed class StepOptions<T>
{
    /// <summary>Default <see cref="EffectClass.Idempotent"/>.</summary>
    public EffectClass Effect { get; init; } = EffectClass.Idempotent;

    /// <summary>The step's own identity instead of name and occurrence; used twice in one scope it is an error.</summary>
    public string? Key { get; init; }

    /// <summary>What the step works on: compared on replay, so that a step of the same name with other arguments is drift.</summary>
    public string? Arguments { get; init; }

    /// <summary>Asked when an attempt that must not be repeated was interrupted. Default: nobody can tell.</summary>
    public Func<StepContext, Task<EffectCheck<T>>>? Verify { get; init; }

    /// <summary>Undoes a <see cref="EffectClass.Compensable"/> step, whether or not it took effect.</summary>
    public Func<StepContext, Task>? Undo { get; init; }

    public UnknownPolicy OnUnknown { get; init; } = UnknownPolicy.Report;

    /// <summary>Default: the manifest's.</summary>
    public RetrySettings? Retry { get; init; }
}

/// <param name="Result">Of a step that is <see cref="EffectState.Done"/>.</param>
public sealed record EffectCheck<T>(EffectState State, T? Result = default);

/// <summary>A step's recorded outcome is a failure: thrown at its call, in every replay alike.</summary>
public sealed class StepFailedException(Failure failure) : Exception(failure.Message)
{
    public Failure Failure { get; } = failure;
}

/// <param name="Payload">JSON as the sender gave it.</param>
public sealed record Signal(string Name, string Payload, string By);

public sealed record ApprovalOptions
{
    /// <summary>After it the answer is no. Default: it waits for ever.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Two different people must say yes.</summary>
    public bool FourEyes { get; init; }

    /// <summary>What exactly is approved, shown beside the question and bound to the decision.</summary>
    public string? Arguments { get; init; }
}

/// <param name="Expired">Nobody answered in time.</param>
public sealed record ApprovalDecision(bool Approved, IReadOnlyList<string> By, string? Comment, bool Expired);

/// <param name="Agent">Name of an agent registered with the host, or of the manifest's agent.</param>
public sealed record ChildSpec(string Agent, string Input)
{
    /// <summary>The child's manifest in YAML, where it is not an agent in code.</summary>
    public string? Manifest { get; init; }

    public RunOverrides Limits { get; init; } = new();

    /// <summary>The child lives on when its parent ends. Default: it is cancelled then.</summary>
    public bool Detach { get; init; }

    /// <summary>A program asked for it, which must not reach by its children what it may not itself.</summary>
    internal bool ByProgram { get; init; }
}

/// <param name="Ended">Completes with the child's end.</param>
public sealed record ChildRun(RunId Id, Task<ChildOutcome> Ended);

public sealed record ChildOutcome(RunStatus Status, string? Result, Failure? Failure);

/// <summary>Forms of the calls that most agents use.</summary>
public static class RunContextExtensions
{
    public static Task<T> StepAsync<T>(this IRunContext context, string name, Func<Task<T>> body) => context.StepAsync(name, _ => body());

    public static Task StepAsync(this IRunContext context, string name, Func<StepContext, Task> body, StepOptions<bool>? options = null) =>
        context.StepAsync(name, async step =>
        {
            await body(step);
            return true;
        }, options);

    public static Task SleepAsync(this IRunContext context, TimeSpan time) => context.SleepUntilAsync(context.Now + time);

    /// <summary>Runs the branches side by side, each in its scope.</summary>
    public static Task<T[]> WhenAllAsync<T>(this IRunContext context, params IEnumerable<Func<IRunContext, Task<T>>> branches) =>
        Task.WhenAll(branches.Select(context.BranchAsync).ToList());

    /// <summary>The first branch that ends, in the journal's order. The others go on until the run ends.</summary>
    public static async Task<(int Index, T Result)> WhenAnyAsync<T>(this IRunContext context, params IEnumerable<Func<IRunContext, Task<T>>> branches)
    {
        var all = branches.Select(context.BranchAsync).ToList();
        var first = await Task.WhenAny(all);
        return (all.IndexOf(first), await first);
    }
}
