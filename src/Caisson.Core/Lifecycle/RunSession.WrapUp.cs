using Caisson.Contracts;
using Caisson.Core.Budgets;
using Caisson.Core.Journal;

namespace Caisson.Core.Lifecycle;

/// <summary>What a run that wraps up at its limits keeps back for its last call.</summary>
internal sealed partial class RunSession
{
    private WrapUpReserve? _reserve;
    private CountLimits? _workLimits;
    private CountLimits? _workLimitsOf;

    internal TimeProvider Clock => _services.Clock;

    internal WrapUpReserve Reserve => _reserve ??= WrapUpReserve.Of(Manifest.Limits, Manifest.Loop is { } loop ? _services.Models.DearestOf(loop.Model, Manifest.Limits.WrapUpTokens) : 0);

    /// <summary>What everything but the last call is admitted under.</summary>
    private CountLimits WorkLimits
    {
        get
        {
            var limits = Limits;
            if (Manifest.Limits.OnLimit != LimitPolicy.WrapUp)
                return limits;
            if (!ReferenceEquals(_workLimitsOf, limits))
                (_workLimitsOf, _workLimits) = (limits, limits.Less(Reserve));
            return _workLimits!;
        }
    }

    /// <summary>What the store must find free on the run's own node beside a hold.</summary>
    private Amounts Kept => Manifest.Limits.OnLimit == LimitPolicy.WrapUp
        ? new Amounts(KeptOf(LimitDimension.NanoUsd), KeptOf(LimitDimension.Tokens), KeptOf(LimitDimension.InputTokens), KeptOf(LimitDimension.OutputTokens))
        : default;

    private long KeptOf(LimitDimension dimension) => CapOf(dimension) is { } cap ? cap - Reserve.Admission(dimension, cap)!.Value : 0;

    /// <summary>People are told the cap, and whoever raises it raises the cap: not what is left of it for the work.</summary>
    private LimitDenial Whole(LimitDenial denial) => denial with { Cap = CapOf(denial.Dimension) ?? denial.Cap };

    /// <summary>Whether the agent is told of a denial, so that it gives its last answer, instead of the run being halted by it.</summary>
    internal bool WrapsUpAt(LimitDenial denial) =>
        LimitDecision.Of(Manifest.Limits.OnLimit, denial, BudgetNodes.Of(Run), wrappedUp: false) == LimitAnswer.WrapUp && InForce(denial);

    /// <summary>Whether the cap of a denial still stands: it may have been raised meanwhile.</summary>
    internal bool InForce(LimitDenial denial) => denial.Node != BudgetNodes.Of(Run) || CapOf(denial.Dimension) == denial.Cap;
}
