using System.Globalization;
using Caisson.Contracts;
using Caisson.Core;
using Caisson.Core.Agents;
using Caisson.Core.Journal;
using Caisson.Core.Models;
using Caisson.Simulation.Tests.Machine;

namespace Caisson.Simulation.Tests.Workload;

/// <summary>Runs the program of its input on one node, and tells the world what it sees: it must see the same in every attempt.</summary>
internal sealed class ProgramAgent(World world, SimProcess process) : IAgent
{
    internal const string Name = "program";

    public async Task<string> RunAsync(IRunContext context, CancellationToken cancellationToken)
    {
        var program = Programs.Of(context.Input);
        var first = context.Saved is { } saved ? saved.Span[0] : 0;
        await ListAsync(context, [.. program.Skip(first)]);
        return $"did {context.Input}";
    }

    private async Task<string> ListAsync(IRunContext context, IReadOnlyList<Op> ops)
    {
        foreach (var op in ops)
        {
            var seen = await SeeAsync(context, op);
            world.Observe(context.Run, op.Path, string.Create(CultureInfo.InvariantCulture, $"{seen} at {context.Now.ToUnixTimeMilliseconds()}"));
        }

        return $"{ops.Count} done";
    }

    private async Task<string> SeeAsync(IRunContext context, Op op)
    {
        try
        {
            return await DoAsync(context, op);
        }
        catch (StepFailedException failed)
        {
            return $"failed: {failed.Failure.Code}";
        }
    }

    private async Task<string> DoAsync(IRunContext context, Op op)
    {
        switch (op)
        {
            case Op.Step step:
                return await StepAsync(context, step);
            case Op.Sleep sleep:
                await context.SleepAsync(TimeSpan.FromMilliseconds(sleep.Ms));
                return $"slept {context.NewGuid()}";
            case Op.Wait wait:
                return (await context.WaitForSignalAsync(wait.Name, Span(wait.TimeoutMs)))?.Payload ?? "nothing";
            case Op.Approve approve:
                var decided = await context.ApproveAsync($"may I {approve.Path}?", new ApprovalOptions { Timeout = Span(approve.TimeoutMs), FourEyes = approve.FourEyes });
                return $"{decided.Approved} by {string.Join("+", decided.By)}{(decided.Expired ? " too late" : "")}";
            case Op.Branches { Any: true } race:
                var (index, won) = await context.WhenAnyAsync(race.Parts.Select(Branch));
                return string.Create(CultureInfo.InvariantCulture, $"{index} won: {won}");
            case Op.Branches all:
                return string.Join(",", await context.WhenAllAsync(all.Parts.Select(Branch)));
            case Op.Child child:
                return await ChildAsync(context, child);
            case Op.Model model:
                var request = new ModelRequest(SimModels.NameOf(model), [ModelMessage.User(model.Path)], [], StepHash.Of("sim", model.Path), null, null, context.Manifest.Retry);
                return (await ((RunContext)context).ModelAsync(request)).Answer!.Answer.Text;
            case Op.Save save:
                await context.SnapshotAsync(new[] { (byte)save.Next });
                return "saved";
            default:
                throw new InvalidOperationException("unreachable");
        }
    }

    private Func<IRunContext, Task<string>> Branch(IReadOnlyList<Op> ops) => branch => ListAsync(branch, ops);

    private static async Task<string> ChildAsync(IRunContext context, Op.Child child)
    {
        var limits = child.NanoUsd is { } cap ? new RunOverrides(Usd: Workload.Money.Text(cap)) : new RunOverrides();
        var spawned = await context.SpawnAsync(new ChildSpec(Name, child.Input) { Limits = limits, Detach = child.Ending == Ending.Detached });
        return child.Ending == Ending.Awaited ? $"{spawned.Id} {(await spawned.Ended).Status}" : $"{spawned.Id}";
    }

    private async Task<string> StepAsync(IRunContext context, Op.Step op)
    {
        var result = await context.StepAsync(op.Named ? op.Path : "step", step => BodyAsync(step, op), new StepOptions<string>
        {
            Effect = op.Flavour switch
            {
                Flavour.Idempotent => EffectClass.Idempotent,
                Flavour.Read => EffectClass.Read,
                Flavour.Undoable => EffectClass.Compensable,
                _ => EffectClass.AtMostOnce,
            },
            OnUnknown = op.Flavour switch
            {
                Flavour.OnceAskHuman => UnknownPolicy.AskHuman,
                Flavour.OnceFail => UnknownPolicy.Fail,
                Flavour.Undoable => UnknownPolicy.Compensate,
                _ => UnknownPolicy.Report,
            },
            Arguments = op.Named ? null : op.Path,
            Verify = op.Flavour is Flavour.OnceAtOnce or Flavour.OnceLate ? step => Task.FromResult(world.Verify(step)) : null,
            Undo = op.Flavour == Flavour.Undoable ? step =>
            {
                world.Undo(step);
                return Task.CompletedTask;
            }
            : null,
        });
        return result.Length > 100 ? string.Create(CultureInfo.InvariantCulture, $"{result.Length} characters") : result;
    }

    private async Task<string> BodyAsync(StepContext step, Op.Step op)
    {
        world.Begin(process, step, op);
        if (op.Flavour == Flavour.OnceAtOnce)
            world.Act(step, op, fenced: false);
        if (op.Ms > 0)
            await new EngineTasks(process).DelayAsync(TimeSpan.FromMilliseconds(op.Ms), process.Clock, op.Flavour == Flavour.Read ? step.Cancellation : CancellationToken.None);
        if (step.Attempt <= op.Fails)
            throw new InvalidOperationException("not yet");
        if (op.Flavour != Flavour.OnceAtOnce)
            world.Act(step, op, fenced: true);
        return world.ResultOf(step, op);
    }

    private static TimeSpan? Span(int? ms) => ms is { } some ? TimeSpan.FromMilliseconds(some) : null;
}

internal static class Money
{
    /// <summary>As a manifest has it.</summary>
    internal static string Text(long nanoUsd) => string.Create(CultureInfo.InvariantCulture, $"{nanoUsd / 1_000_000_000}.{nanoUsd % 1_000_000_000:000000000}");
}
