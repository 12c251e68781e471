using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

/// <summary>Model calls as steps: the gateway executes them and reads their records, the turn orders them.</summary>
internal static class ModelSteps
{
    internal static async Task ExecuteAsync(IModels models, ModelRequest request, StepLog log)
    {
        switch (await models.CallAsync(request, log, log.Session.Owned))
        {
            case ModelOutcome.Answered:
                break;
            case ModelOutcome.LimitReached reached:
                throw new RunHaltException(new RunHalt.AtLimit(reached.Denial));
            case ModelOutcome.Exhausted exhausted:
                throw new RunHaltException(new RunHalt.Exhausted(exhausted.Failure));
            case ModelOutcome.Failed failed:
                throw new RunHaltException(IsForOperator(failed.Failure) ? new RunHalt.Exhausted(failed.Failure) : new RunHalt.Failed(failed.Failure));
            case ModelOutcome.Drifted drifted:
                throw new RunHaltException(new RunHalt.Drifted(drifted.Report));
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>Gives the agent the recorded answer, live as in a replay: both read the record.</summary>
    internal static DriftReport? Answer(IModels models, ModelRequest request, Arrival arrival, StepKey key, TaskCompletionSource<(ModelAnswer, StepKey)> answer)
    {
        var read = models.CallAsync(request, new StepLog(null!, key, "", arrival), CancellationToken.None);
        if (!read.IsCompletedSuccessfully)
            throw new InvalidOperationException("a recorded answer is read without waiting");
#pragma warning disable VSTHRD002 // It has completed.
        switch (read.Result)
#pragma warning restore VSTHRD002
        {
            case ModelOutcome.Answered answered:
                answer.SetResult((answered.Answer, answered.Key));
                return null;
            case ModelOutcome.Failed failed:
                answer.SetException(new StepFailedException(failed.Failure));
                return null;
            case ModelOutcome.Drifted drifted:
                return drifted.Report;
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    /// <summary>A key, a provider or a price that an operator can mend: the run pauses and loses nothing.</summary>
    private static bool IsForOperator(Failure failure) =>
        failure.Retryable || failure.Code is ErrorCodes.ConfigInvalid or ErrorCodes.ModelUnknown or ErrorCodes.ModelUnpriced;
}
