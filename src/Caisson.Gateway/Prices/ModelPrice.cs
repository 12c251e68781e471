namespace Caisson.Gateway.Prices;

/// <summary>Tokens of one call as they are billed. Input is the total; cached and cache-written tokens are parts of it.</summary>
internal sealed record TokenUsage(long Input, long Output, long Cached = 0, long CacheWrite = 0, bool Estimated = false);

/// <summary>Integer pico-USD per token. A kind without a rate of its own costs what plain input costs.</summary>
internal sealed record TokenRates(long Input, long Output, long? Cached = null, long? CacheWrite = null)
{
    public long DearestInput => Math.Max(Input, Math.Max(Cached ?? 0, CacheWrite ?? 0));
}

/// <param name="Over">What the whole call costs once its input reaches <see cref="LongContext.Tokens"/>.</param>
/// <param name="Context">Size of the model's context in tokens, where known.</param>
internal sealed record ModelPrice(TokenRates Base, LongContext? Over = null, long? Context = null)
{
    /// <summary>The bill, rounded up once, in nano-USD.</summary>
    public long Cost(TokenUsage usage)
    {
        var rates = Over is { } over && usage.Input >= over.Tokens ? over.Rates : Base;
        var cached = Math.Min(usage.Cached, usage.Input);
        var written = Math.Min(usage.CacheWrite, usage.Input - cached);
        var pico = (Int128)(usage.Input - cached - written) * rates.Input
            + (Int128)cached * (rates.Cached ?? rates.Input)
            + (Int128)written * (rates.CacheWrite ?? rates.Input)
            + (Int128)usage.Output * rates.Output;
        return ToNano(pico);
    }

    /// <summary>No call of at most so many tokens can cost more, whatever part of its input was cached and whichever tier applies.</summary>
    public long UpperBound(long input, long output)
    {
        var dearestInput = Math.Max(Base.DearestInput, Over?.Rates.DearestInput ?? 0);
        var dearestOutput = Math.Max(Base.Output, Over?.Rates.Output ?? 0);
        return ToNano((Int128)input * dearestInput + (Int128)output * dearestOutput);
    }

    private static long ToNano(Int128 pico)
    {
        var nano = (pico + 999) / 1000;
        return nano > long.MaxValue ? long.MaxValue : (long)nano;
    }
}

internal sealed record LongContext(long Tokens, TokenRates Rates);
