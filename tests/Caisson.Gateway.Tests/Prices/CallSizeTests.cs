using Caisson.Contracts;
using Caisson.Core.Journal;
using Caisson.Gateway.Prices;
using CsCheck;

namespace Caisson.Gateway.Tests.Prices;

public sealed class CallSizeTests
{
    private static readonly Gen<(CallSize Size, long Cap, long Spent, LimitDimension Dimension)> Case =
        from input in Gen.Long[0, 20_000]
        from output in Gen.Int[1, 16_384]
        from least in Gen.Int[1, 512]
        from choices in Gen.Int[1, 4]
        from rates in Gen.Select(Gen.Long[0, 5_000_000], Gen.Long[0, 20_000_000])
        from dimension in Gen.Int[0, 2].Select(i => new[] { LimitDimension.NanoUsd, LimitDimension.Tokens, LimitDimension.OutputTokens }[i])
        let size = new CallSize(input, output, Math.Min(least, output), choices, new ModelPrice(new TokenRates(rates.Item1, rates.Item2)))
        from cap in Gen.Long[0, 2 * Math.Max(1, Of(size.Hold, dimension))]
        from spent in Gen.Long[0, cap]
        select (size, cap, spent, dimension);

    /// <summary>The largest that fits under what is spent, however much is held, and never less than is of use.</summary>
    [Fact]
    public void What_a_denial_leaves_is_used_to_the_full() =>
        Case.Sample(c =>
        {
            var (size, cap, spent, dimension) = c;
            var wanted = Of(size.Hold, dimension);
            var fitted = size.Within(new LimitDenial("node", dimension, cap, spent, Held: 0, wanted));
            bool Fits(int output) => spent + Of((size with { MaxOutput = output }).Hold, dimension) <= cap;
            if (spent + wanted <= cap)
                return fitted is null;
            return fitted is null
                ? !Fits(size.LeastOutput)
                : fitted.MaxOutput >= size.LeastOutput && Fits(fitted.MaxOutput) && !Fits(fitted.MaxOutput + 1);
        });

    [Theory]
    [InlineData(LimitDimension.InputTokens)]
    [InlineData(LimitDimension.Steps)]
    [InlineData(LimitDimension.ModelCalls)]
    public void A_smaller_answer_does_not_help_against_other_limits(LimitDimension dimension) =>
        Assert.Null(new CallSize(1_000, 1_000, 1, 1, null).Within(new LimitDenial("node", dimension, 10, 10, 0, 1)));

    private static long Of(Hold hold, LimitDimension dimension) => dimension switch
    {
        LimitDimension.NanoUsd => hold.NanoUsd,
        LimitDimension.Tokens => hold.Tokens,
        _ => hold.OutputTokens,
    };
}
