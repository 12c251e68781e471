using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Stores;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

internal enum UnknownEnd
{
    /// <summary>Its outcome stands in the journal.</summary>
    Resolved = 1,
    /// <summary>It surely did not happen: it may run.</summary>
    NotDone = 2,
}

/// <summary>
/// A step that must not happen twice was interrupted.
/// <para>
/// Problem: nobody knows whether it took effect. It is never silently repeated and never silently skipped. States:
/// started → unknown (journaled) → verified done | verified not done (it runs) | cannot tell → by policy reported,
/// asked of a person, compensated, or the run fails. Each decision is an entry, so whoever dies in between finds the
/// step where it stood; a check may run again, an undo has to bear being run again.
/// </para>
/// </summary>
internal sealed class UnknownStep<T>(RunSession session, StepCall call, NamedStep<T> step)
{
    /// <param name="problem">What its last attempt failed with, where it did not die with its owner.</param>
    internal async Task<UnknownEnd> DecideAsync(OpenStart open, string? problem)
    {
        var why = problem ?? $"step '{step.Name}' was under way when its owner died";
        if (!open.Unknown)
            await JournalAsync(EntryKind.StepUnknown, new EntryBody.StepUnknown(call.Subject, step.Options.Effect, step.Options.OnUnknown), open.Attempt, null);
        var (state, result) = await VerifyAsync(open);
        switch (state)
        {
            case EffectState.Done:
                await ResolveAsync(open, StepResolutions.Verified, null, StepJson.Write(result));
                return UnknownEnd.Resolved;
            case EffectState.NotDone:
                await ResolveAsync(open, StepResolutions.NotDone, null, null);
                return UnknownEnd.NotDone;
        }

        switch (step.Options.OnUnknown)
        {
            case UnknownPolicy.AskHuman:
                throw new RunHaltException(new RunHalt.Unknown($"{why}: nobody knows whether it took effect. Look, then: caisson resolve {session.Run} {call.Key.Hash[..12]} --done | --not-done | --skip"));
            case UnknownPolicy.Fail:
                throw new RunHaltException(new RunHalt.Failed(new Failure(ErrorCodes.StepUnknown, $"{why}: nobody knows whether it took effect")));
            case UnknownPolicy.Compensate when step.Options.Undo is { } undo:
                await UndoAsync(open, undo);
                await ResolveAsync(open, StepResolutions.Compensated, new Failure(ErrorCodes.StepCompensated, $"{why}: it was undone"), null);
                return UnknownEnd.Resolved;
            default:
                await ResolveAsync(open, StepResolutions.Reported, new Failure(ErrorCodes.StepUnknown, $"{why}: nobody knows whether it took effect"), null);
                return UnknownEnd.Resolved;
        }
    }

    private async Task<(EffectState State, T? Result)> VerifyAsync(OpenStart open)
    {
        if (step.Options.Verify is not { } verify)
            return (EffectState.CannotTell, default);
        try
        {
            await session.WaitForLeaveAsync();
            var check = await verify(Context(open));
            return (check.State, check.Result);
        }
        catch (Exception problem) when (problem is not OperationCanceledException || !session.Interrupted.IsCancellationRequested)
        {
            // A check that fails has found nothing out.
            return (EffectState.CannotTell, default);
        }
    }

    private async Task UndoAsync(OpenStart open, Func<StepContext, Task> undo)
    {
        try
        {
            await session.WaitForLeaveAsync();
            await undo(Context(open));
        }
        catch (Exception problem) when (problem is not OperationCanceledException || !session.Interrupted.IsCancellationRequested)
        {
            throw new RunHaltException(new RunHalt.Unknown($"step '{step.Name}' could not be undone: {problem.Message}. Look, then: caisson resolve {session.Run} {call.Key.Hash[..12]} --done | --not-done | --skip"));
        }
    }

    private StepContext Context(OpenStart open) => new($"{session.Run}.{call.Key.Hash}", open.Attempt, session.Epoch, session.Interrupted);

    private Task<AppendOutcome> ResolveAsync(OpenStart open, string how, Failure? failure, ReadOnlyMemory<byte>? result) =>
        JournalAsync(EntryKind.StepResolved, new EntryBody.StepResolved(call.Subject, how, null, failure), open.Attempt, result);

    private Task<AppendOutcome> JournalAsync(EntryKind kind, EntryBody body, int attempt, ReadOnlyMemory<byte>? payload)
    {
        return session.WriteAsync(new Unit
        {
            Entries = [new EntryDraft(kind, body) { Scope = call.Scope, Key = call.Key.Hash, Attempt = attempt, Payload = payload }],
            Transition = RunSession.Proceed,
            Done = kind == EntryKind.StepResolved ? call.Key : null,
        }, session.Owned);
    }
}
