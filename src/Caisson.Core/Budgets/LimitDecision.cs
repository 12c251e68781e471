using Caisson.Contracts;
using Caisson.Core.Journal;

namespace Caisson.Core.Budgets;

internal enum LimitAnswer
{
    Pause = 1,
    Stop = 2,
    WrapUp = 3,
    Ask = 4,
}

/// <summary>What becomes of a run at a limit. Where its policy cannot be had the run pauses: then nothing is lost, and a raise resumes it.</summary>
internal static class LimitDecision
{
    /// <param name="node">The run's own budget node.</param>
    /// <param name="wrappedUp">The last call was tried already, and is what this denial is about.</param>
    internal static LimitAnswer Of(LimitPolicy policy, LimitDenial denial, string node, bool wrappedUp) => policy switch
    {
        LimitPolicy.Stop => LimitAnswer.Stop,
        LimitPolicy.WrapUp when !wrappedUp && CanWrapUp(denial, node) => LimitAnswer.WrapUp,

        // An approval of this run cannot raise the caps of those above it.
        LimitPolicy.Ask when denial.Node == node => LimitAnswer.Ask,
        _ => LimitAnswer.Pause,
    };

    // When the time is over no call is made, not even the last one. Above the run nothing is kept back for it: some
    // tokens and money may be left there, but of steps and model calls surely none; and where only what others have
    // under way stands in the way, the work need not end.
    private static bool CanWrapUp(LimitDenial denial, string node) =>
        !denial.Dimension.IsTime() && (denial.Node == node || (denial.Dimension is not (LimitDimension.Steps or LimitDimension.ModelCalls) && !denial.FreesItself()));
}

/// <summary>
/// The question of the policy <c>ask</c>, and what a yes grants: as much again as the manifest allows, and at least
/// what the denied step needs, so that no yes is answered by the same question.
/// </summary>
internal static class LimitQuestion
{
    internal static string Text(LimitDenial denial, LimitSettings manifest) =>
        $"The run has reached a limit: {denial.Text()}. " + denial.Dimension switch
        {
            LimitDimension.Deadline => $"May it take {LimitCaps.Text(denial.Dimension, Allowance(denial, manifest))} more, from your answer on?",
            LimitDimension.NoProgress => "May it go on?",
            _ => $"Raise the limit to {LimitCaps.Text(denial.Dimension, Raised(denial, manifest))}?",
        };

    /// <param name="age">Time from the run's creation to the answer: a deadline goes on while the question is open.</param>
    internal static RaisedLimits OnYes(LimitDenial denial, LimitSettings manifest, TimeSpan age) => denial.Dimension switch
    {
        // Counted from the resume in any case.
        LimitDimension.NoProgress => new RaisedLimits(),
        LimitDimension.Deadline => LimitCaps.Raise(denial.Dimension, Plus((long)Math.Ceiling(age.TotalMilliseconds), Allowance(denial, manifest))),
        _ => LimitCaps.Raise(denial.Dimension, Raised(denial, manifest)),
    };

    private static long Raised(LimitDenial denial, LimitSettings manifest) =>
        Math.Max(Plus(denial.Cap, Allowance(denial, manifest)), Plus(Plus(denial.Spent, denial.Held), denial.Wanted));

    private static long Allowance(LimitDenial denial, LimitSettings manifest) => Math.Max(manifest.Cap(denial.Dimension) ?? denial.Cap, 1);

    private static long Plus(long a, long b) => a > long.MaxValue - b ? long.MaxValue : a + b;
}
