using Caisson.Contracts;
using Caisson.Core.Agents.Tools;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;
using Caisson.Core.Loops;
using Caisson.Core.Models;
using Caisson.Core.Turns;

namespace Caisson.Core.Agents;

/// <summary>
/// An agent without code: asks the model, runs the tools it calls, tells it the results, until it answers without a
/// call. The conversation is never stored: replaying the recorded answers and results rebuilds it, and its identity is
/// a chain of hashes, so a call's cost grows only with what is new.
/// </summary>
internal sealed class LoopAgent : IAgent
{
    public async Task<string> RunAsync(IRunContext run, CancellationToken cancellationToken)
    {
        var context = (RunContext)run;
        var loop = context.Manifest.Loop!;
        var tools = BuiltInTools.Select(loop.Tools, context.Manifest);
        var definitions = tools.Select(t => t.Definition).ToList();
        var batch = new ToolBatch(context, tools);
        var guard = new LoopWatch(context);
        List<ModelMessage> messages = [ModelMessage.System(loop.Instructions), ModelMessage.User(context.Input)];
        var identity = StepHash.Of(["loop", loop.Model, loop.Instructions, context.Input, .. definitions.SelectMany(d => new[] { d.Name, d.Description, d.Schema })]);

        while (true)
        {
            var note = await guard.HeedAsync();
            var request = Request(context, messages, definitions, identity, note);
            var (reply, denial) = await context.ModelAsync(request);
            if (denial is not null)
                return await WrapUpAsync(context, request, denial);
            var (answer, key) = reply!;
            messages.Add(ModelMessage.Assistant(answer));
            identity = StepHash.Of([identity, "answer", answer.Text, .. answer.Calls.SelectMany(c => new[] { c.Id, c.Name, c.Arguments })]);
            if (answer.Calls.Count == 0)
                return answer.Text;
            guard.Observe(answer);

            (var results, denial) = await batch.RunAsync(key, answer.Calls);
            foreach (var result in results)
            {
                messages.Add(ModelMessage.Tool(result.Call.Id, result.Text));
                identity = StepHash.Of(identity, "result", result.Call.Id, result.Text);
                if (denial is null)
                    guard.Observe(result);
            }

            if (denial is not null)
                return await WrapUpAsync(context, Request(context, messages, definitions, identity, null), denial);
        }
    }

    private static ModelRequest Request(RunContext context, IReadOnlyList<ModelMessage> messages, IReadOnlyList<ToolDefinition> tools, string identity, string? note) =>
        new(context.Manifest.Loop!.Model, messages, tools, identity, note, null, context.Manifest.Retry) { MoneyIsCapped = context.Session.MoneyIsCapped };

    /// <summary>One last answer, whatever tools it asks for.</summary>
    private static async Task<string> WrapUpAsync(RunContext context, ModelRequest request, LimitDenial denial) =>
        (await context.LastAsync(request with { Identity = StepHash.Of(request.Identity, WrapUp.Identity), Note = WrapUp.Note(denial) }, denial)).Text;
}

/// <summary>Feeds the loop guard in the journal's order, with the resets that operators made.</summary>
internal sealed class LoopWatch(RunContext context)
{
    private readonly LoopGuard _guard = new(LoopThresholds.Of(context.Manifest.LoopGuard, context.Session.History.Raised.LoopRepeats));
    private LoopVerdict _worst = LoopVerdict.None;
    private long _seen;

    internal void Observe(ModelAnswer answer) => Take(_guard.ObserveAnswer(answer.Text));

    internal void Observe(ToolAnswer answer)
    {
        ResetUpTo(answer.Seq);
        _guard.RepeatsToAct = context.Session.LoopRepeats;
        Take(_guard.Observe(answer.Call.Name, answer.Signature, answer.Result, answer.Failed, answer.WorkspaceRoot, context.Now));
    }

    private void Take(LoopVerdict verdict)
    {
        if (verdict.Level >= _worst.Level)
            _worst = verdict;
    }

    /// <summary>Pauses the run, or answers a word of warning for the model, or nothing.</summary>
    internal async Task<string?> HeedAsync()
    {
        if (!context.Replaying)
            ResetUpTo(long.MaxValue);
        var verdict = _worst;
        _worst = LoopVerdict.None;
        if (!context.Replaying)
            await ActAsync(verdict);
        return verdict.Note();
    }

    /// <summary>Acts on what the guard saw, unless the journal shows that the run already went on from here.</summary>
    private Task ActAsync(LoopVerdict verdict)
    {
        if (verdict.Level == LoopLevel.None)
            return Task.CompletedTask;
        if (verdict.Level == LoopLevel.Act && context.Manifest.LoopGuard.OnLoop != LoopPolicy.Warn)
            return context.HaltAsync(new RunHalt.Looping(verdict));
        context.Note(new EntryDraft(EntryKind.LoopSuspected, new EntryBody.LoopSuspected(verdict.Signal, verdict.Tool, verdict.Count, verdict.Period, Acted: false)));
        return Task.CompletedTask;
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
