using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Gateway.Prices;

namespace Caisson.Gateway;

/// <summary>
/// How large a call may become: its input as it is, its output as far as it may go. What is reserved for it is an upper
/// bound of its bill.
/// </summary>
/// <param name="Input">The most input tokens that it can be billed for.</param>
/// <param name="MaxOutput">The bound of each answer, sent to the provider.</param>
/// <param name="LeastOutput">Below it an answer is of no use.</param>
/// <param name="Choices">Answers side by side.</param>
/// <param name="Price"><c>null</c>: unpriced, where no money is capped.</param>
internal sealed record CallSize(long Input, int MaxOutput, int LeastOutput, int Choices, ModelPrice? Price)
{
    /// <summary>Prices of those that may answer instead: the dearest of all is held.</summary>
    public IReadOnlyList<ModelPrice> Fallbacks { get; init; } = [];

    public Hold Hold
    {
        get
        {
            var output = (long)MaxOutput * Choices;
            var dearest = Fallbacks.Prepend(Price).MaxBy(p => p?.UpperBound(Input, output) ?? -1);
            return new Hold(dearest?.UpperBound(Input, output) ?? 0, Input + output) { InputTokens = Input, OutputTokens = output, Prices = dearest?.Origin?.Digest };
        }
    }

    /// <summary>
    /// The largest size that fits into what a denial leaves, where all that is held comes back: what only others hold is
    /// waited for, not cut off.
    /// </summary>
    /// <returns><c>null</c>: not even the least useful answer fits, or it is not its size that was denied.</returns>
    public CallSize? Within(LimitDenial denial)
    {
        var excess = (Int128)denial.Spent + denial.Wanted - denial.Cap;
        if (excess <= 0 || denial.Dimension is not (LimitDimension.NanoUsd or LimitDimension.Tokens or LimitDimension.OutputTokens))
            return null;
        var room = Of(Hold, denial.Dimension) - excess;
        var (fits, over) = (Math.Min(LeastOutput, MaxOutput) - 1, MaxOutput);
        var least = fits;
        while (over - fits > 1)
        {
            var middle = fits + (over - fits) / 2;
            if (Of((this with { MaxOutput = middle }).Hold, denial.Dimension) <= room)
                fits = middle;
            else
                over = middle;
        }

        return fits > least ? this with { MaxOutput = fits } : null;
    }

    private static long Of(Hold hold, LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => hold.NanoUsd,
        LimitDimension.Tokens => hold.Tokens,
        _ => hold.OutputTokens,
    };
}
