using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Models;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

/// <summary>Model calls as steps: the gateway executes them and reads their records, the turn orders them.</summary>
internal static class ModelSteps
{
    internal static async Task ExecuteAsync(IModels models, ModelRequest request, StepLog log) =>
        Check(await models.CallAsync(request, log, log.Session.Owned));

    /// <summary>
    /// The last call of a run at a limit, cut to what is left. The limit that it was at need not be the tightest for
    /// this call, and a crash may have used more up: a denial says how much is left, and it is cut anew.
    /// </summary>
    /// <param name="request">The whole conversation, with the note.</param>
    internal static async Task WrapUpAsync(IModels models, ModelRequest request, LimitDenial denial, StepLog log)
    {
        var room = long.MaxValue;
        for (var tries = 0; tries <= Amounts.Dimensions.Count; tries++)
        {
            room = Math.Min(room, log.Session.Reserve.Room(denial, denial.Cap));
            if (WrapUp.Fit(request.Messages, request.Tools, request.Note!, room, log.Session.Manifest.Limits.WrapUpTokens) is not { } call)
                break;
            var outcome = await models.CallAsync(request with { Messages = call.Messages, Tools = call.Tools, MaxOutputTokens = call.MaxOutputTokens, ToolsOff = true }, log, log.Session.Owned);
            if (outcome is not ModelOutcome.LimitReached reached)
            {
                Check(outcome);
                return;
            }

            denial = reached.Denial;
        }

        throw new RunHaltException(new RunHalt.AtLimit(denial));
    }

    private static void Check(ModelOutcome outcome)
    {
        switch (outcome)
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
    internal static DriftReport? Answer(IModels models, ModelRequest request, Arrival arrival, StepKey key, TaskCompletionSource<Limited<ModelReply>> answer)
    {
        var read = models.CallAsync(request, new StepLog(null!, key, "", arrival), CancellationToken.None);
        if (!read.IsCompletedSuccessfully)
            throw new InvalidOperationException("a recorded answer is read without waiting");
#pragma warning disable VSTHRD002 // It has completed.
        switch (read.Result)
#pragma warning restore VSTHRD002
        {
            case ModelOutcome.Answered answered:
                answer.SetResult(new(new ModelReply(answered.Answer, answered.Key), null));
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

/// <param name="Key">The call's step: tool steps that it asked for derive their identity from it.</param>
internal sealed record ModelReply(ModelAnswer Answer, StepKey Key);

/// <summary>An answer, or the limit that denied the step to an agent that gives its last answer then.</summary>
internal readonly record struct Limited<T>(T? Answer, LimitDenial? Denial)
    where T : class;
