using Caisson.Contracts;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Journal;
using Caisson.Core.Loops;
using Caisson.Core.Models;

namespace Caisson.Core.Agents;

/// <summary>
/// An agent without code: asks the model, runs the tools it calls, tells it the results, until it answers without a
/// call. The conversation is never stored: replaying the recorded answers and results rebuilds it, and its identity is
/// a chain of hashes, so a call's cost grows only with what is new.
/// </summary>
internal sealed class LoopAgent : IAgent
{
    public async Task<string> RunAsync(RunContext context, CancellationToken cancellationToken)
    {
        var loop = context.Manifest.Loop!;
        var tools = BuiltInTools.Select(loop.Tools);
        var definitions = tools.Select(t => t.Definition).ToList();
        var batch = new ToolBatch(context, tools);
        var guard = new LoopWatch(context);
        List<ModelMessage> messages = [ModelMessage.System(loop.Instructions), ModelMessage.User(context.Input)];
        var identity = StepHash.Of(["loop", loop.Model, loop.Instructions, context.Input, .. definitions.SelectMany(d => new[] { d.Name, d.Description, d.Schema })]);

        while (true)
        {
            context.Checkpoint();
            var note = await guard.HeedAsync();
            var request = new ModelRequest(loop.Model, messages, definitions, identity, note, null, context.Manifest.Retry) { MoneyIsCapped = context.MoneyIsCapped };
            var (answer, key) = await context.Models.CallAsync(request, context.Session, cancellationToken) switch
            {
                ModelOutcome.Answered answered => (answered.Answer, answered.Key),
                ModelOutcome.LimitReached reached => throw new RunHaltException(new RunHalt.AtLimit(reached.Denial)),
                ModelOutcome.Exhausted exhausted => throw new RunHaltException(new RunHalt.Exhausted(exhausted.Failure)),
                ModelOutcome.Failed failed => throw new RunHaltException(IsForOperator(failed.Failure) ? new RunHalt.Exhausted(failed.Failure) : new RunHalt.Failed(failed.Failure)),
                ModelOutcome.Drifted drifted => throw new RunHaltException(new RunHalt.Drifted(drifted.Report)),
                _ => throw new InvalidOperationException("unreachable"),
            };
            messages.Add(ModelMessage.Assistant(answer));
            identity = StepHash.Of([identity, "answer", answer.Text, .. answer.Calls.SelectMany(c => new[] { c.Id, c.Name, c.Arguments })]);
            if (answer.Calls.Count == 0)
                return answer.Text;

            context.Checkpoint();
            foreach (var result in await batch.RunAsync(key, answer.Calls))
            {
                messages.Add(ModelMessage.Tool(result.Call.Id, result.Text));
                identity = StepHash.Of(identity, "result", result.Call.Id, result.Text);
                guard.Observe(result);
            }
        }
    }

    /// <summary>A key, a provider or a price that an operator can mend: the run pauses and loses nothing.</summary>
    private static bool IsForOperator(Failure failure) =>
        failure.Retryable || failure.Code is ErrorCodes.ConfigInvalid or ErrorCodes.ModelUnknown or ErrorCodes.ModelUnpriced;
}

/// <summary>Feeds the loop guard in the journal's order, with the resets that operators made.</summary>
internal sealed class LoopWatch(RunContext context)
{
    private readonly LoopGuard _guard = new(context.Session.LoopRepeats);
    private LoopVerdict _worst = LoopVerdict.None;
    private long _seen;

    internal void Observe(ToolAnswer answer)
    {
        ResetUpTo(answer.Seq == 0 ? long.MaxValue : answer.Seq);
        _guard.RepeatsToAct = context.Session.LoopRepeats;
        var verdict = _guard.Observe(answer.Call.Name, answer.Signature, answer.Fingerprint);
        if (verdict.Level >= _worst.Level)
            _worst = verdict;
    }

    /// <summary>Pauses the run, or answers a word of warning for the model, or nothing.</summary>
    internal async Task<string?> HeedAsync()
    {
        if (!context.Session.History.Replaying)
            ResetUpTo(long.MaxValue);
        var verdict = _worst;
        _worst = LoopVerdict.None;
        await context.HeedAsync(verdict);
        return verdict.Level == LoopLevel.None ? null
            : verdict.Period == 1 ? $"[caisson: the call of '{verdict.Tool}' was made {verdict.Count} times in a row with the same result. Try something else, or finish.]"
            : $"[caisson: the same {verdict.Period} calls were made {verdict.Count} times in turn with the same results. Try something else, or finish.]";
    }

    private void ResetUpTo(long seq)
    {
        foreach (var reset in context.Session.History.LoopResets)
        {
            if (reset > _seen && reset < seq)
            {
                _guard.Reset();
                _worst = LoopVerdict.None;
                _seen = reset;
            }
        }
    }
}
