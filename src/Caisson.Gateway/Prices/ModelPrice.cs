namespace Caisson.Gateway.Prices;

/// <summary>Tokens of one call as they are billed. Input is the total; cached and cache-written tokens are parts of it.</summary>
internal sealed record TokenUsage(long Input, long Output, long Cached = 0, long CacheWrite = 0, bool Estimated = false);

/// <summary>Integer pico-USD per token. A kind without a rate of its own costs what plain input costs.</summary>
public sealed record TokenRates(long Input, long Output, long? Cached = null, long? CacheWrite = null)
{
    internal long DearestInput => Math.Max(Input, Math.Max(Cached ?? 0, CacheWrite ?? 0));
}

/// <summary>What a token of a model costs.</summary>
/// <param name="Over">What the whole call costs once its input reaches <see cref="LongContext.Tokens"/>.</param>
/// <param name="Context">Size of the model's context in tokens, where known.</param>
public sealed record ModelPrice(TokenRates Base, LongContext? Over = null, long? Context = null)
{
    /// <summary>Who says so.</summary>
    public PriceOrigin? Origin { get; init; }

    /// <summary>The bill, rounded up once, in nano-USD.</summary>
    internal long Cost(TokenUsage usage)
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
    internal long UpperBound(long input, long output)
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

/// <summary>Rates of calls with long input.</summary>
/// <param name="Tokens">From so many input tokens on.</param>
public sealed record LongContext(long Tokens, TokenRates Rates);

/// <summary>Where a price comes from.</summary>
/// <param name="Name">For people: the built-in table, a file, or a place in the configuration.</param>
/// <param name="Digest">SHA-256 in hex of the table's bytes, or of the configured figures: journaled with each call.</param>
/// <param name="Source">What the table says that it was made of; <c>null</c> for the configuration.</param>
/// <param name="Date">The day on which the table's facts were collected.</param>
public sealed record PriceOrigin(string Name, string Digest, string? Source = null, DateOnly? Date = null);
