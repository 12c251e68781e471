using System.Security.Cryptography;
using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Loops;
using Caisson.Core.Models;

namespace Caisson.Core.Agents;

/// <summary>What an agent sees of its run. Every call is safe to make again after a crash: what is recorded is answered, what is not is done.</summary>
public sealed class RunContext
{
    private readonly RunSession _session;
    private readonly StepRunner _steps;

    internal RunContext(RunSession session, StepRunner steps, IModels models, RunBox? box)
    {
        (_session, _steps, Models, Box) = (session, steps, models, box);
    }

    public RunId Run => _session.Run;

    public AgentManifest Manifest => _session.Manifest;

    public string Input => _session.History.Created!.Input;

    internal IModels Models { get; }

    internal RunBox? Box { get; }

    internal RunSession Session => _session;

    internal StepRunner Steps => _steps;

    /// <summary>
    /// A named piece of work, recorded once. The same name again is the next occurrence.
    /// </summary>
    /// <param name="body">Runs at most once per attempt; its result is what every later attempt gets.</param>
    /// <exception cref="RunHaltException">The run pauses or ends here.</exception>
    public async Task<ReadOnlyMemory<byte>> StepAsync(string name, ReadOnlyMemory<byte> arguments, Func<CancellationToken, Task<ReadOnlyMemory<byte>>> body)
    {
        Checkpoint();
        var key = _session.NamedStep(name);
        var subject = new StepSubject(StepKind.Named, name, Convert.ToHexStringLower(SHA256.HashData(arguments.Span)), null, null);
        var record = await _steps.RunAsync(key, subject, cancellation => AttemptAsync(name, body, cancellation));
        return record.Result;
    }

    private static async Task<StepAttempt> AttemptAsync(string name, Func<CancellationToken, Task<ReadOnlyMemory<byte>>> body, CancellationToken cancellationToken)
    {
        try
        {
            return new StepAttempt.Done(await body(cancellationToken));
        }
        catch (Exception problem) when (problem is not CaissonException && !(problem is OperationCanceledException && cancellationToken.IsCancellationRequested))
        {
            // A failure of the author's code is data: it is journaled, and the step is tried again.
            return new StepAttempt.Failed(new Failure(ErrorCodes.Internal, $"step '{name}' failed: {problem.GetType().Name}: {problem.Message}", Retryable: true));
        }
    }

    internal bool MoneyIsCapped => (_session.History.Raised.NanoUsd ?? Manifest.Limits.NanoUsd) is not null;

    /// <summary>A place where the run may halt: between steps, on new ground.</summary>
    internal void Checkpoint()
    {
        if (_session.Stop is { } stop && (stop.Kind >= StopKind.Deadline || !_session.History.Replaying))
            throw new RunHaltException(new RunHalt.Requested());
    }

    /// <summary>Acts on what the loop guard saw, unless the journal shows that the run already went on from here.</summary>
    internal async Task HeedAsync(LoopVerdict verdict)
    {
        if (verdict.Level == LoopLevel.None || _session.History.Replaying)
            return;
        var acts = verdict.Level == LoopLevel.Act && Manifest.LoopGuard.OnLoop != LoopPolicy.Warn;
        if (acts)
            throw new RunHaltException(new RunHalt.Looping(verdict));
        await _session.NoteAsync(EntryKind.LoopSuspected, new EntryBody.LoopSuspected(verdict.Signal, verdict.Tool, verdict.Count, verdict.Period, Acted: false), _session.Owned);
    }
}
