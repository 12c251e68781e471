using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Budgets;

/// <summary>
/// Every limit by its dimension, so that checks, raises and questions keep no lists of their own. Times are in
/// milliseconds here, as in denials.
/// </summary>
internal static class LimitCaps
{
    /// <summary>No caps at all.</summary>
    internal static readonly LimitSettings None = new() { Steps = null, Children = null, ChildBreadth = null, ChildDepth = null };

    /// <summary>Those that a budget node has a row for.</summary>
    internal static IReadOnlyList<LimitDimension> WithRows { get; } = [.. Enum.GetValues<LimitDimension>().Where(dimension => !dimension.IsTime())];

    internal static long? Cap(this LimitSettings limits, LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => limits.NanoUsd,
        LimitDimension.Tokens => limits.Tokens,
        LimitDimension.InputTokens => limits.InputTokens,
        LimitDimension.OutputTokens => limits.OutputTokens,
        LimitDimension.ModelCalls => limits.ModelCalls,
        LimitDimension.Steps => limits.Steps,
        LimitDimension.ToolCalls => limits.ToolCalls,
        LimitDimension.Children => limits.Children,
        LimitDimension.ChildBreadth => limits.ChildBreadth,
        LimitDimension.ChildDepth => limits.ChildDepth,
        LimitDimension.Deadline => Milliseconds(limits.Deadline),
        LimitDimension.NoProgress => Milliseconds(limits.NoProgress),
        _ => throw new ArgumentOutOfRangeException(nameof(dimension), dimension, null),
    };

    internal static long? Cap(this RaisedLimits limits, LimitDimension dimension) => None.With(limits).Cap(dimension);

    /// <summary>The limits in force: what is given stands in place of the manifest's.</summary>
    internal static LimitSettings With(this LimitSettings own, RaisedLimits given) => own with
    {
        NanoUsd = given.NanoUsd ?? own.NanoUsd,
        Tokens = given.Tokens ?? own.Tokens,
        InputTokens = given.InputTokens ?? own.InputTokens,
        OutputTokens = given.OutputTokens ?? own.OutputTokens,
        ModelCalls = given.ModelCalls ?? own.ModelCalls,
        Steps = given.Steps ?? own.Steps,
        ToolCalls = given.ToolCalls ?? own.ToolCalls,
        Children = given.Children ?? own.Children,
        ChildBreadth = given.ChildBreadth ?? own.ChildBreadth,
        ChildDepth = given.ChildDepth ?? own.ChildDepth,
        Deadline = given.Deadline ?? own.Deadline,
        NoProgress = given.NoProgress ?? own.NoProgress,
    };

    /// <summary>One raise after another: the later one counts where it says something.</summary>
    internal static RaisedLimits With(this RaisedLimits earlier, RaisedLimits later) => new(
        later.NanoUsd ?? earlier.NanoUsd, later.Tokens ?? earlier.Tokens, later.Steps ?? earlier.Steps,
        later.ToolCalls ?? earlier.ToolCalls, later.Deadline ?? earlier.Deadline, later.LoopRepeats ?? earlier.LoopRepeats)
    {
        ModelCalls = later.ModelCalls ?? earlier.ModelCalls,
        InputTokens = later.InputTokens ?? earlier.InputTokens,
        OutputTokens = later.OutputTokens ?? earlier.OutputTokens,
        Children = later.Children ?? earlier.Children,
        ChildBreadth = later.ChildBreadth ?? earlier.ChildBreadth,
        ChildDepth = later.ChildDepth ?? earlier.ChildDepth,
        NoProgress = later.NoProgress ?? earlier.NoProgress,
    };

    /// <summary>A raise of this one limit.</summary>
    internal static RaisedLimits Raise(LimitDimension dimension, long cap) => dimension switch
    {
        LimitDimension.NanoUsd => new RaisedLimits(NanoUsd: cap),
        LimitDimension.Tokens => new RaisedLimits(Tokens: cap),
        LimitDimension.InputTokens => new RaisedLimits { InputTokens = cap },
        LimitDimension.OutputTokens => new RaisedLimits { OutputTokens = cap },
        LimitDimension.ModelCalls => new RaisedLimits { ModelCalls = cap },
        LimitDimension.Steps => new RaisedLimits(Steps: cap),
        LimitDimension.ToolCalls => new RaisedLimits(ToolCalls: cap),
        LimitDimension.Children => new RaisedLimits { Children = cap },
        LimitDimension.ChildBreadth => new RaisedLimits { ChildBreadth = cap },
        LimitDimension.ChildDepth => new RaisedLimits { ChildDepth = cap },
        LimitDimension.Deadline => new RaisedLimits(Deadline: TimeSpan.FromMilliseconds(cap)),
        LimitDimension.NoProgress => new RaisedLimits { NoProgress = TimeSpan.FromMilliseconds(cap) },
        _ => throw new ArgumentOutOfRangeException(nameof(dimension), dimension, null),
    };

    /// <summary>What a raise changes in the store: the owner alone keeps the times.</summary>
    internal static IEnumerable<BudgetChange> SetCaps(RaisedLimits raise) =>
        from dimension in WithRows
        let cap = raise.Cap(dimension)
        where cap is not null
        select new BudgetChange.SetCap(dimension, cap);

    internal static bool IsTime(this LimitDimension dimension) => dimension is LimitDimension.Deadline or LimitDimension.NoProgress;

    /// <summary>A cap as people write it: <c>$2.00</c>, <c>2h</c>, <c>60</c>.</summary>
    internal static string Text(LimitDimension dimension, long cap) =>
        dimension == LimitDimension.NanoUsd ? "$" + Money.Text(cap)
        : dimension.IsTime() ? Durations.Text(TimeSpan.FromMilliseconds(cap))
        : cap.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static long? Milliseconds(TimeSpan? time) => (long?)time?.TotalMilliseconds;
}

/// <summary>The options of the command line that set each limit.</summary>
public static class LimitFlags
{
    public static string Of(LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => "--budget-usd",
        LimitDimension.Tokens => "--budget-tokens",
        LimitDimension.InputTokens => "--budget-input-tokens",
        LimitDimension.OutputTokens => "--budget-output-tokens",
        LimitDimension.ModelCalls => "--max-model-calls",
        LimitDimension.Steps => "--max-steps",
        LimitDimension.ToolCalls => "--max-tool-calls",
        LimitDimension.Children => "--max-children",
        LimitDimension.ChildBreadth => "--max-child-breadth",
        LimitDimension.ChildDepth => "--max-child-depth",
        LimitDimension.Deadline => "--deadline",
        LimitDimension.NoProgress => "--no-progress",
        _ => throw new ArgumentOutOfRangeException(nameof(dimension), dimension, null),
    };
}
