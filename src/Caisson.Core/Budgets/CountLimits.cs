using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Budgets;

/// <summary>
/// The limits that the owner checks on its own figures: steps, calls, children and times cost no extra write. Money
/// and tokens are reserved in the store.
/// </summary>
/// <param name="Node">Budget node that the limits belong to.</param>
internal sealed record CountLimits(string Node, long? Steps, long? ToolCalls, long? ModelCalls, DateTimeOffset? Deadline, TimeSpan? DeadlineSpan)
{
    private static readonly LimitDimension[] Model = [LimitDimension.Steps, LimitDimension.ModelCalls];
    private static readonly LimitDimension[] Tool = [LimitDimension.Steps, LimitDimension.ToolCalls];
    private static readonly LimitDimension[] Named = [LimitDimension.Steps];

    internal long? Children { get; init; }
    internal long? ChildBreadth { get; init; }
    internal long? ChildDepth { get; init; }
    internal TimeSpan? NoProgress { get; init; }

    internal static CountLimits Of(RunId run, LimitSettings manifest, RaisedLimits raised, DateTimeOffset createdAt)
    {
        var limits = manifest.With(raised);
        return new CountLimits(BudgetNodes.Of(run), limits.Steps, limits.ToolCalls, limits.ModelCalls, createdAt + limits.Deadline, limits.Deadline)
        {
            Children = limits.Children,
            ChildBreadth = limits.ChildBreadth,
            ChildDepth = limits.ChildDepth,
            NoProgress = limits.NoProgress,
        };
    }

    /// <summary>What a step of this kind counts as.</summary>
    internal static LimitDimension[] CountsOf(StepKind kind) => kind switch
    {
        StepKind.Model => Model,
        StepKind.Tool => Tool,
        _ => Named,
    };

    /// <summary>Caps that a run's own node has rows for beside money and tokens, so that its descendants count on them.</summary>
    internal static IReadOnlyDictionary<LimitDimension, long> CapsOf(LimitSettings limits) =>
        LimitCaps.WithRows.Except([LimitDimension.NanoUsd, LimitDimension.Tokens])
            .Where(dimension => limits.Cap(dimension) is not null).ToDictionary(dimension => dimension, dimension => limits.Cap(dimension)!.Value);

    /// <summary>What everything but the last call of a run that wraps up is admitted under.</summary>
    internal CountLimits Less(WrapUpReserve reserve) => this with
    {
        Steps = reserve.Admission(LimitDimension.Steps, Steps),
        ModelCalls = reserve.Admission(LimitDimension.ModelCalls, ModelCalls),
    };

    /// <summary>For a caller that does not count model calls.</summary>
    internal LimitDenial? Check(StepKind next, long steps, long toolCalls, DateTimeOffset now) => Check(next, steps, toolCalls, 0, now);

    /// <param name="steps">Completed and in flight, as the other counts.</param>
    internal LimitDenial? Check(StepKind next, long steps, long toolCalls, long modelCalls, DateTimeOffset now) =>
        Full(LimitDimension.Steps, Steps, steps)
        ?? (next == StepKind.Model ? Full(LimitDimension.ModelCalls, ModelCalls, modelCalls) : null)
        ?? (next == StepKind.Tool ? Full(LimitDimension.ToolCalls, ToolCalls, toolCalls) : null)
        ?? DeadlineDenial(now);

    /// <summary>Whether this run may have one child more.</summary>
    /// <param name="alive">Its own children that have not ended.</param>
    /// <param name="lifetime">All runs that ever began below it.</param>
    /// <param name="depth">Generations above this run: 0 for a root run.</param>
    internal LimitDenial? CheckChild(long alive, long lifetime, long depth) =>
        Full(LimitDimension.ChildDepth, ChildDepth, depth)
        ?? Full(LimitDimension.Children, Children, lifetime)
        ?? (ChildBreadth is { } most && alive >= most ? new LimitDenial(Node, LimitDimension.ChildBreadth, most, 0, alive, 1) : null);

    internal LimitDenial? DeadlineDenial(DateTimeOffset now) =>
        Deadline is { } deadline && now >= deadline
            ? new LimitDenial(Node, LimitDimension.Deadline, (long)DeadlineSpan!.Value.TotalMilliseconds, (long)(now - deadline + DeadlineSpan.Value).TotalMilliseconds, 0, 0)
            : null;

    /// <param name="lastProgress">The last completed step, or when the run last began to work: its claim, the end of a wait, a resume. A run that waits or stands paused makes no progress and owes none.</param>
    internal LimitDenial? NoProgressDenial(DateTimeOffset lastProgress, DateTimeOffset now) =>
        NoProgress is { } most && now - lastProgress >= most
            ? new LimitDenial(Node, LimitDimension.NoProgress, (long)most.TotalMilliseconds, (long)(now - lastProgress).TotalMilliseconds, 0, 0)
            : null;

    private LimitDenial? Full(LimitDimension dimension, long? cap, long gone) =>
        cap is { } most && gone >= most ? new LimitDenial(Node, dimension, most, gone, 0, 1) : null;
}

public static class BudgetNodes
{
    private const string RunPrefix = "run:";

    /// <summary>The run whose node it is, or <c>null</c>.</summary>
    public static RunId? RunOf(string node) =>
        node.StartsWith(RunPrefix, StringComparison.Ordinal) && RunId.TryParse(node[RunPrefix.Length..], out var run) ? run : null;

    internal static bool IsAboveRuns(string node) => !node.StartsWith(RunPrefix, StringComparison.Ordinal);

    public static CaissonException CapOfLiveRun(RunId run) => new(ErrorCodes.RunConflict, $"run {run} has not ended: its caps go through its inbox, so that its journal has them");

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
        LimitDimension.Tokens or LimitDimension.InputTokens or LimitDimension.OutputTokens => $"{Name(denial.Dimension)}: {denial.Spent} used and {denial.Held} held of {denial.Cap}, the next call may use up to {denial.Wanted} ({denial.Node})",
        LimitDimension.Deadline => $"deadline: {Durations.Text(TimeSpan.FromMilliseconds(denial.Cap))} from the run's creation are over ({denial.Node})",
        LimitDimension.NoProgress => $"no progress: {Durations.Text(TimeSpan.FromSeconds(denial.Spent / 1000))} without a completed step, at most {Durations.Text(TimeSpan.FromMilliseconds(denial.Cap))} are allowed ({denial.Node})",
        LimitDimension.ChildBreadth => $"child breadth: {denial.Held} children alive of at most {denial.Cap} ({denial.Node})",
        LimitDimension.ChildDepth => $"child depth: a child would stand {denial.Spent + denial.Wanted} generations below the root, of at most {denial.Cap} ({denial.Node})",
        _ => $"{Name(denial.Dimension)}: {denial.Spent} of {denial.Cap} done{(denial.Held > 0 ? $", {denial.Held} under way" : "")} ({denial.Node})",
    };

    /// <summary>The run's end where its policy is to stop.</summary>
    internal static Failure Failure(this LimitDenial denial) =>
        new(denial.Dimension == LimitDimension.Deadline ? ErrorCodes.DeadlineExceeded : ErrorCodes.BudgetExceeded, denial.Text());

    /// <summary>Whether it is only what is under way that stands in the way: then waiting helps, and no cap need be raised.</summary>
    internal static bool FreesItself(this LimitDenial denial) =>
        !denial.Dimension.IsTime() && (Int128)denial.Spent + denial.Wanted <= denial.Cap;

    private static string Name(LimitDimension dimension) => Words.Of(dimension).Replace('_', ' ');
}
