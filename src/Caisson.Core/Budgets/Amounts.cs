using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Budgets;

/// <summary>What a hold or a bill moves on a budget node. Stores share this arithmetic. Sums saturate, so that nothing a provider or a caller says can overflow a ledger.</summary>
public readonly record struct Amounts(long NanoUsd, long Tokens, long InputTokens, long OutputTokens)
{
    /// <summary>The dimensions that are held and settled, in the order in which they deny.</summary>
    public static readonly IReadOnlyList<LimitDimension> Dimensions = [LimitDimension.NanoUsd, LimitDimension.Tokens, LimitDimension.InputTokens, LimitDimension.OutputTokens];

    public long this[LimitDimension dimension] => dimension switch
    {
        LimitDimension.NanoUsd => NanoUsd,
        LimitDimension.Tokens => Tokens,
        LimitDimension.InputTokens => InputTokens,
        LimitDimension.OutputTokens => OutputTokens,
        _ => 0,
    };

    public static Amounts Of(Hold hold) => Positive(hold.NanoUsd, hold.Tokens, hold.InputTokens, hold.OutputTokens);

    public static Amounts Of(Usage usage) => Positive(usage.NanoUsd, Sum(usage.InputTokens, usage.OutputTokens), usage.InputTokens, usage.OutputTokens);

    /// <summary>The holds of one unit are admitted together or not at all, so they count together. <c>null</c> where there is none.</summary>
    public static Amounts? Reserved(IReadOnlyList<BudgetChange> changes)
    {
        Amounts? sum = null;
        foreach (var change in changes)
        {
            if (change is BudgetChange.Reserve reserve)
                sum = (sum ?? default).Plus(Of(reserve.Hold));
        }

        return sum;
    }

    /// <summary>What the run's own node must have beside the holds of one unit.</summary>
    public static Amounts Kept(IReadOnlyList<BudgetChange> changes)
    {
        foreach (var change in changes)
        {
            if (change is BudgetChange.Reserve { Kept: var kept } && kept != default)
                return kept;
        }

        return default;
    }

    public Amounts Plus(Amounts other) =>
        new(Sum(NanoUsd, other.NanoUsd), Sum(Tokens, other.Tokens), Sum(InputTokens, other.InputTokens), Sum(OutputTokens, other.OutputTokens));

    /// <summary>The one rule of admission: spent + held + new ≤ cap.</summary>
    public static LimitDenial? Check(string node, LimitDimension dimension, BudgetState state, long wanted) =>
        state.Cap is not { } cap || (Int128)state.Spent + state.Held + wanted <= cap ? null : new LimitDenial(node, dimension, cap, state.Spent, state.Held, wanted);

    // Nothing that is used or set aside gives anything back.
    private static Amounts Positive(long nanoUsd, long tokens, long inputTokens, long outputTokens) =>
        new(Math.Max(0, nanoUsd), Math.Max(0, tokens), Math.Max(0, inputTokens), Math.Max(0, outputTokens));

    public static long Sum(long a, long b) => (long)Int128.Clamp((Int128)a + b, long.MinValue, long.MaxValue);
}
