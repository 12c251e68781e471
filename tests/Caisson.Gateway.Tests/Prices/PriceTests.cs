using System.Text;
using Caisson.Core.Models;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Tests.Harness;
using CsCheck;

namespace Caisson.Gateway.Tests.Prices;

public sealed class PriceTests
{
    private static readonly (string Provider, string Pattern, ModelPrice Price)[] All = PriceTable.Embedded.All.ToArray();

    [Theory]
    [InlineData("openai", "gpt-4o", 2_500_000, 10_000_000)]
    [InlineData("openai", "gpt-5-mini-2025-08-07", 250_000, 2_000_000)]
    [InlineData("OpenAI", "GPT-4o-mini", 150_000, 600_000)]
    [InlineData("openai", "gpt-5.6-sol-2026-07-07", 5_000_000, 30_000_000)]
    [InlineData("anthropic", "claude-opus-4-8-20260101", 5_000_000, 25_000_000)]
    [InlineData("deepseek", "deepseek-chat", 270_000, 1_100_000)]
    public void Known_models_have_their_price(string provider, string model, long input, long output)
    {
        var rates = PriceTable.Embedded.Find(provider, model)!.Base;

        Assert.Equal((input, output), (rates.Input, rates.Output));
    }

    [Theory]
    [InlineData("openai", "gpt-4oo")]
    [InlineData("openai", "text-embedding-3-small")]
    [InlineData("nobody", "gpt-4o")]
    public void Unknown_models_have_none(string provider, string model) =>
        Assert.Null(PriceTable.Embedded.Find(provider, model));

    [Fact]
    public void The_shipped_table_is_whole_and_nothing_in_it_is_free()
    {
        Assert.True(All.Length > 300);
        Assert.Equal(64, PriceTable.Embedded.Origin.Digest.Length);
        Assert.All(All, e => Assert.True(e.Price.Base is { Input: > 0, Output: > 0 } && e.Price.Over is not { Rates: { Input: 0 } or { Output: 0 } }, e.Pattern));
    }

    /// <summary>The promise of a hard budget: whatever the provider bills for a call within its bounds, the hold covers it.</summary>
    [Fact]
    public void A_hold_covers_every_bill_within_its_bounds() =>
        Gen.Select(Gen.Int[0, All.Length - 1], Gen.String[0, 2_000], Gen.Int[1, 16_384], Gen.Double[0, 1], Gen.Double[0, 1], Gen.Double[0, 1])
            .Sample((model, text, clamp, inputPart, cachedPart, writePart) =>
            {
                var request = Rig.Request(ModelMessage.User(text));
                var bytes = Encoding.UTF8.GetByteCount(text) + 200;
                var hold = CallBounds.Size(request, bytes, clamp, All[model].Price).Hold;
                var input = (long)(CallBounds.MaxInput(request, bytes) * inputPart);
                var bill = new TokenUsage(input, clamp, (long)(input * cachedPart), (long)(input * writePart));
                return All[model].Price.Cost(bill) <= hold.NanoUsd && bill.Input <= hold.InputTokens && bill.Output <= hold.OutputTokens && hold.InputTokens + hold.OutputTokens == hold.Tokens;
            });

    [Fact]
    public void A_hold_covers_long_contexts_at_every_tier() =>
        Gen.Select(Gen.Int[0, All.Length - 1], Gen.Long[1, 3_000_000], Gen.Long[0, 16_384], Gen.Double[0, 1])
            .Sample((model, input, output, cached) =>
                All[model].Price.Cost(new TokenUsage(input, output, (long)(input * cached))) <= All[model].Price.UpperBound(input, output));

    [Fact]
    public void A_bill_is_exact_and_rounded_up_once()
    {
        var price = new ModelPrice(new TokenRates(1, 1, 1, 1));

        Assert.Equal(1, price.Cost(new TokenUsage(1, 0)));
        Assert.Equal(1, price.Cost(new TokenUsage(999, 1, 300, 300)));
        Assert.Equal(2, price.Cost(new TokenUsage(1_000, 1)));
        Assert.Equal(long.MaxValue, new ModelPrice(new TokenRates(long.MaxValue, long.MaxValue)).Cost(new TokenUsage(long.MaxValue, long.MaxValue)));
    }

    [Fact]
    public void Long_contexts_cost_their_own_price_from_the_threshold_on()
    {
        var price = new ModelPrice(new TokenRates(1_000, 1_000), new LongContext(100, new TokenRates(2_000, 3_000)));

        Assert.Equal(99 + 1, price.Cost(new TokenUsage(99, 1)));
        Assert.Equal(200 + 3, price.Cost(new TokenUsage(100, 1)));
    }

    [Fact]
    public void The_most_specific_pattern_wins()
    {
        (string, string)[] patterns = [("*", "any"), ("llama-*", "llama"), ("llama-3-*", "llama 3"), ("llama-3-8b", "this one")];

        Assert.Equal("this one", ModelPattern.Best(patterns, "LLAMA-3-8b"));
        Assert.Equal("llama 3", ModelPattern.Best(patterns, "llama-3-70b"));
        Assert.Equal("llama", ModelPattern.Best(patterns, "llama-2"));
        Assert.Equal("any", ModelPattern.Best(patterns, "gemma"));
    }

    [Theory]
    [InlineData(null, null, 16_384)]
    [InlineData(100, null, 100)]
    [InlineData(0, null, 1)]
    [InlineData(null, 8_192L, 4_096)]
    [InlineData(null, 1_000_000L, 16_384)]
    public void Output_is_clamped(int? client, long? context, int expected) =>
        Assert.Equal(expected, CallBounds.ClampOutput(client, 16_384, context));
}
