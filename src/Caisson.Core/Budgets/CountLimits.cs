using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Budgets;

/// <summary>
/// The limits that the owner checks on its own figures: steps, tool calls and the deadline cost no extra write. Money
/// and tokens are reserved in the store.
/// </summary>
/// <param name="Node">Budget node that the limits belong to.</param>
internal sealed record CountLimits(string Node, long? Steps, long? ToolCalls, long? ModelCalls, DateTimeOffset? Deadline, TimeSpan? DeadlineSpan)
{
    /// <summary>What a step of this kind counts as.</summary>
    internal static IReadOnlyList<LimitDimension> CountsOf(StepKind kind) => kind switch
    {
        StepKind.Model => [LimitDimension.Steps, LimitDimension.ModelCalls],
        StepKind.Tool => [LimitDimension.Steps, LimitDimension.ToolCalls],
        _ => [LimitDimension.Steps],
    };

    /// <summary>Caps that a run's own node has rows for, so that its descendants count on them.</summary>
    internal static IReadOnlyDictionary<LimitDimension, long> CapsOf(LimitSettings limits)
    {
        var caps = new Dictionary<LimitDimension, long>();
        if (limits.Steps is { } steps)
            caps[LimitDimension.Steps] = steps;
        if (limits.ToolCalls is { } tools)
            caps[LimitDimension.ToolCalls] = tools;
        return caps;
    }

    /// <summary>Whether one more child may be spawned.</summary>
    internal LimitDenial? CheckChild(RunHistory history, int depth, LimitSettings manifest)
    {
        var alive = history.Children.Values.Count(c => !c.Ended);
        return Over(LimitDimension.ChildDepth, history.Raised.ChildDepth ?? 8, depth)
            ?? Over(LimitDimension.ChildBreadth, history.Raised.ChildBreadth ?? 64, alive)
            ?? Over(LimitDimension.Children, history.Raised.Children ?? 1_000, history.Children.Count);

        LimitDenial? Over(LimitDimension dimension, long cap, long gone) => gone + 1 > cap ? new LimitDenial(Node, dimension, cap, gone, 0, 1) : null;
    }

    /// <summary>The cap in force.</summary>
    internal long? CapOf(LimitDimension dimension, LimitSettings manifest, RaisedLimits raised) => dimension switch
    {
        LimitDimension.NanoUsd => raised.NanoUsd ?? manifest.NanoUsd,
        LimitDimension.Tokens => raised.Tokens ?? manifest.Tokens,
        LimitDimension.Steps => Steps,
        LimitDimension.ToolCalls => ToolCalls,
        LimitDimension.ModelCalls => ModelCalls,
        _ => (long?)DeadlineSpan?.TotalMilliseconds,
    };

    internal static CountLimits Of(RunId run, LimitSettings manifest, RaisedLimits raised, DateTimeOffset createdAt)
    {
        var deadline = raised.Deadline ?? manifest.Deadline;
        return new CountLimits(BudgetNodes.Of(run), raised.Steps ?? manifest.Steps, raised.ToolCalls ?? manifest.ToolCalls, raised.ModelCalls,
            deadline is null ? null : createdAt + deadline, deadline);
    }

    internal LimitDenial? Check(StepKind next, long steps, long toolCalls, DateTimeOffset now) => Check(next, steps, toolCalls, 0, now);

    /// <param name="steps">Completed and in flight.</param>
    internal LimitDenial? Check(StepKind next, long steps, long toolCalls, long modelCalls, DateTimeOffset now)
    {
        if (Steps is { } most && steps + 1 > most)
            return new LimitDenial(Node, LimitDimension.Steps, most, steps, 0, 1);
        if (next == StepKind.Tool && ToolCalls is { } calls && toolCalls + 1 > calls)
            return new LimitDenial(Node, LimitDimension.ToolCalls, calls, toolCalls, 0, 1);
        if (next == StepKind.Model && ModelCalls is { } asks && modelCalls + 1 > asks)
            return new LimitDenial(Node, LimitDimension.ModelCalls, asks, modelCalls, 0, 1);
        return DeadlineDenial(now);
    }

    internal LimitDenial? DeadlineDenial(DateTimeOffset now) =>
        Deadline is { } deadline && now >= deadline
            ? new LimitDenial(Node, LimitDimension.Deadline, (long)DeadlineSpan!.Value.TotalMilliseconds, (long)(now - deadline + DeadlineSpan.Value).TotalMilliseconds, 0, 0)
            : null;
}

public static class BudgetNodes
{
    public const string DefaultTenant = "default";

    public static string Of(RunId run) => $"run:{run}";

    public static string OfTenant(string tenant) => $"tenant:{tenant}";
}

internal static class LimitDenials
{
    /// <summary>One line: which node, which limit, what is gone.</summary>
    internal static string Text(this LimitDenial denial) => denial.Dimension switch
    {
        LimitDimension.NanoUsd => $"money: ${Money.Text(denial.Spent)} spent and ${Money.Text(denial.Held)} held of ${Money.Text(denial.Cap)}, the next call may cost up to ${Money.Text(denial.Wanted)} ({denial.Node})",
        LimitDimension.Tokens => $"tokens: {denial.Spent} used and {denial.Held} held of {denial.Cap}, the next call may use up to {denial.Wanted} ({denial.Node})",
        LimitDimension.Steps => $"steps: {denial.Spent} of {denial.Cap} done ({denial.Node})",
        LimitDimension.ToolCalls => $"tool calls: {denial.Spent} of {denial.Cap} done ({denial.Node})",
        _ => $"deadline: {Durations.Text(TimeSpan.FromMilliseconds(denial.Cap))} from the run's creation are over ({denial.Node})",
    };
}
