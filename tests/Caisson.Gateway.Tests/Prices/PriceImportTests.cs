using System.Text;
using Caisson.Gateway.Prices;
using Caisson.Gateway.Prices.Import;
using Caisson.Gateway.Providers;
using CsCheck;

namespace Caisson.Gateway.Tests.Prices;

public sealed class PriceImportTests
{
    private const string LiteLlmList = """
        {
          "sample_spec": { "litellm_provider": "one of many", "mode": "chat", "input_cost_per_token": 0.0 },
          "plain": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
            "input_cost_per_token_batches": 6.25e-07, "input_cost_per_token_priority": 2.5e-06, "max_input_tokens": 272000, "max_tokens": 128000, "aliases": ["plain-2026", "p*"] },
          "gemini/long": { "litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "cache_creation_input_token_cost": 1.5e-06,
            "input_cost_per_token_above_200k_tokens": 3e-06, "output_cost_per_token_above_200k_tokens": null, "output_cost_per_token_above_272k_tokens": 9e-06,
            "cache_creation_input_token_cost_above_1hr": 7e-06 },
          "dashscope/ranges": { "litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
            { "range": [0, 32000.0], "input_cost_per_token": 1e-07, "output_cost_per_token": 4e-07 },
            { "range": [32000.0, 1000000.0], "input_cost_per_token": 5e-07, "output_cost_per_token": 8e-07 }] },
          "thinks": { "litellm_provider": "openai", "mode": "responses", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 3e-06 },
          "embeds": { "litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0 },
          "paints": { "litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04 },
          "speaks": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_audio_token": 8e-05 },
          "ollama/free": { "litellm_provider": "ollama", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0 },
          "half": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06 },
          "dear": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3, "output_cost_per_token": 2e-06 },
          "words": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": "1e-06", "output_cost_per_token": 2e-06 },
          "wild*": { "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06 },
          "odd": 3
        }
        """;

    private const string GenaiList = """
        [
          { "id": "acme", "name": "Acme", "models": [
            { "id": "flat", "match": { "or": [{ "equals": "Flat" }, { "starts_with": "flat-" }, { "regex": "^flat\\.\\d{4}-\\d$" }] }, "context_window": 128000, "prices": { "input_mtok": 0.25, "cache_read_mtok": 0.025, "output_mtok": 2 } },
            { "id": "tiers", "match": { "contains": "tiers" }, "prices": { "input_mtok": { "base": 1, "tiers": [{ "start": 200000, "price": 2 }] }, "output_mtok": 8, "web_searches_kcount": 10 } },
            { "id": "dated", "match": { "ends_with": "dated" }, "prices": [
              { "prices": { "input_mtok": 9, "output_mtok": 90 } },
              { "constraint": { "start_date": "2026-01-01" }, "prices": { "input_mtok": 1, "output_mtok": 10 } },
              { "constraint": { "start_date": "2027-01-01" }, "prices": { "input_mtok": 2, "output_mtok": 5 } }] },
            { "id": "by-the-hour", "match": { "equals": "by-the-hour" }, "prices": [
              { "constraint": { "start_time": "00:30:00Z", "end_time": "16:30:00Z" }, "prices": { "input_mtok": 4, "output_mtok": 4 } },
              { "prices": { "input_mtok": 1, "output_mtok": 5 } }] },
            { "id": "embed-1", "match": { "equals": "embed-1" }, "prices": { "input_mtok": 0.02 } },
            { "id": "free", "match": { "equals": "free" }, "prices": { "input_mtok": 0, "output_mtok": 0 } },
            { "id": "paints", "match": { "equals": "paints" }, "prices": { "input_mtok": 1, "output_mtok": 2, "output_image_mtok": 30 } },
            { "id": "fee", "match": { "equals": "fee" }, "prices": { "input_mtok": 1, "output_mtok": 2, "requests_kcount": 5 } },
            { "id": "clever", "match": { "regex": "^(a|b)+$" }, "prices": { "input_mtok": 1, "output_mtok": 2 } },
            { "id": "none", "match": { "equals": "none" } }] },
          { "id": "not a name", "models": [{ "id": "m", "match": { "equals": "m" }, "prices": { "input_mtok": 1, "output_mtok": 2 } }] },
          7
        ]
        """;

    private static readonly string[] Damage = ["", "-", "1e30", "-1", "null", "[]", "{}", "\"\"", "\\u0000", "\n", "9223372036854775808", "*", ",", "é", "\u202e"];
    private static readonly string[] Asked = ["gpt-4o", "gpt-4o-mini", "gpt-5-mini"];
    private static readonly DateOnly Today = new(2026, 8, 1);

    [Fact]
    public void LiteLLMs_list_is_taken_over_in_whole_pico_dollars()
    {
        var imported = Import(LiteLlmList);

        Assert.Equal(PriceFormat.LiteLlm, imported.Format);
        Assert.Equal(
            [
                ("dashscope", "ranges", new ModelPrice(new TokenRates(100_000, 400_000), new LongContext(32_000, new TokenRates(500_000, 800_000)))),
                ("google", "long", new ModelPrice(new TokenRates(1_000_000, 2_000_000, CacheWrite: 1_500_000), new LongContext(200_000, new TokenRates(3_000_000, 9_000_000, CacheWrite: 1_500_000)))),
                ("openai", "embeds", new ModelPrice(new TokenRates(20_000, 0))),
                ("openai", "plain", new ModelPrice(new TokenRates(1_250_000, 10_000_000, 125_000), Context: 272_000)),
                ("openai", "plain-2026", new ModelPrice(new TokenRates(1_250_000, 10_000_000, 125_000), Context: 272_000)),
                ("openai", "thinks", new ModelPrice(new TokenRates(1_000_000, 3_000_000))),
            ],
            Prices(imported));
    }

    [Fact]
    public void What_LiteLLMs_list_has_no_token_price_for_is_skipped_with_the_reason() =>
        Assert.Equal(
            [
                ("paints", "mode 'image_generation' is not billed by tokens of text"),
                ("speaks", "output_cost_per_audio_token: not billed by tokens of text alone"),
                ("ollama/free", "a price of 0: a model that is free is set as such under providers.NAME.prices"),
                ("half", "no price for a token of input or output"),
                ("dear", "input_cost_per_token is no price from 0 to 1 US dollar"),
                ("words", "input_cost_per_token is no price from 0 to 1 US dollar"),
                ("wild*", "a name with '*' or '?' would be a glob"),
                ("odd", "no object"),
            ],
            Import(LiteLlmList).Skipped.Select(s => (s.Name, s.Reason)));

    [Fact]
    public void The_list_of_genai_prices_is_taken_over_with_its_matches_and_dates()
    {
        var imported = Import(GenaiList);

        Assert.Equal(PriceFormat.GenaiPrices, imported.Format);
        Assert.Equal(
            [
                ("acme", "*dated", new ModelPrice(new TokenRates(2_000_000, 10_000_000))),
                ("acme", "*tiers*", new ModelPrice(new TokenRates(1_000_000, 8_000_000), new LongContext(200_000, new TokenRates(2_000_000, 8_000_000)))),
                ("acme", "by-the-hour", new ModelPrice(new TokenRates(4_000_000, 5_000_000))),
                ("acme", "embed-1", new ModelPrice(new TokenRates(20_000, 0))),
                ("acme", "flat", new ModelPrice(new TokenRates(250_000, 2_000_000, 25_000), Context: 128_000)),
                ("acme", "flat-*", new ModelPrice(new TokenRates(250_000, 2_000_000, 25_000), Context: 128_000)),
                ("acme", "flat.????-?", new ModelPrice(new TokenRates(250_000, 2_000_000, 25_000), Context: 128_000)),
            ],
            Prices(imported));
        Assert.Equal(
            [
                ("acme/free", "a price of 0: a model that is free is set as such under providers.NAME.prices"),
                ("acme/paints", "output_image_mtok: not billed by tokens of text alone"),
                ("acme/fee", "requests_kcount: not billed by tokens of text alone"),
                ("acme/clever", "a match 'regex' that is no glob"),
                ("acme/none", "no prices"),
                ("not a name/m", "a provider's name is 1 to 64 of letters, digits, '-', '_' and '.'"),
                ("?", "no provider with an id and models"),
            ],
            imported.Skipped.Select(s => (s.Name, s.Reason)));
    }

    [Fact]
    public void Of_two_prices_of_one_name_the_dearer_stays()
    {
        const string one = "\"litellm_provider\": \"x\", \"mode\": \"chat\", \"output_cost_per_token\": 2e-06";

        var imported = Import($$"""{ "a": { {{one}}, "input_cost_per_token": 1e-06 }, "x/a": { {{one}}, "input_cost_per_token": 4e-06 }, "A": { {{one}}, "input_cost_per_token": 2e-06 } }""");

        Assert.Equal([("x", "a", new ModelPrice(new TokenRates(4_000_000, 2_000_000)))], Prices(imported));
        Assert.Equal(2, imported.SkippedInAll);
    }

    [Fact]
    public void The_table_says_what_it_was_made_of_and_is_the_same_for_the_same_list()
    {
        var (first, second) = (Import(LiteLlmList), Import(LiteLlmList));

        Assert.Equal(first.File.ToArray(), second.File.ToArray());
        Assert.StartsWith("litellm list.json, sha256 ", first.Table.Origin.Source, StringComparison.Ordinal);
        Assert.Equal(Today, first.Table.Origin.Date);
        Assert.All(first.Table.All, p => Assert.Equal(first.Table.Origin, p.Price.Origin));
    }

    [Theory]
    [InlineData("", null, "no JSON")]
    [InlineData("{", null, "no JSON")]
    [InlineData("3", null, "say which with --format")]
    [InlineData("{}", null, "say which with --format")]
    [InlineData("[]", null, "say which with --format")]
    [InlineData("[]", PriceFormat.LiteLlm, "an object of models")]
    [InlineData("{}", PriceFormat.GenaiPrices, "a list of providers")]
    [InlineData("{}", PriceFormat.LiteLlm, "there is no price in it")]
    [InlineData("""{ "m": { "litellm_provider": "x", "mode": "rerank" } }""", null, "the first: m: mode 'rerank'")]
    public void What_is_no_list_is_refused_in_one_line(string list, PriceFormat? format, string says)
    {
        var refused = Assert.IsType<PriceImportOutcome.Refused>(PriceImport.Read(Encoding.UTF8.GetBytes(list), format, "li\nst.json", Today));

        Assert.StartsWith("li\\nst.json: ", refused.Message, StringComparison.Ordinal);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Theory]
    [InlineData(LiteLlmList)]
    [InlineData(GenaiList)]
    public void A_damaged_list_gives_a_whole_table_or_one_line(string list) =>
        Damaged(list).Sample(bytes => PriceImport.Read(bytes, null, "f", Today) switch
        {
            PriceImportOutcome.Imported imported => PriceTable.Read(imported.File, "t") is PriceTableOutcome.Parsed
                && imported.Skipped.All(s => IsLine(s.Name) && IsLine(s.Reason)),
            PriceImportOutcome.Refused refused => IsLine(refused.Message),
            _ => false,
        });

    [Fact]
    public void A_damaged_table_is_read_whole_or_refused_in_one_line() =>
        Damaged(Encoding.UTF8.GetString(Import(LiteLlmList).File.Span)).Sample(bytes => PriceTable.Read(bytes, "t") switch
        {
            PriceTableOutcome.Parsed(var table) => table.All.All(p => p.Price.Base is { Input: >= 0, Output: >= 0 }),
            PriceTableOutcome.Refused(var message) => IsLine(message),
            _ => false,
        });

    [Theory]
    [InlineData("""{"source": "s", "date": "2026-08-01", "providers": {"p": [{"match": ["m"], "input": 1, "output": 1, "audio": 5}]}}""", "t: providers.p[0]: unknown member 'audio'")]
    [InlineData("""{"source": "s", "date": "2026-08-01", "providers": {"p": [{"match": ["m"], "input": -1, "output": 1}]}}""", "t: providers.p[0].input: allowed is a whole number from 0 to 1000000000000")]
    [InlineData("""{"source": "s", "date": "2026-08-01", "providers": {"p": [{"match": ["m"], "input": 1}]}}""", "t: providers.p[0] has no 'output'")]
    [InlineData("""{"source": "s", "date": "2026-08-01", "providers": {"p": [{"match": [], "input": 1, "output": 1}]}}""", "t: providers.p[0].match: allowed are names")]
    [InlineData("""{"source": "s", "date": "August", "providers": {}}""", "t: date: allowed is a day")]
    [InlineData("""{"source": "s", "date": "2026-08-01", "unit": "USD", "providers": {}}""", "t: unit: allowed is")]
    [InlineData("""{"models": []}""", "make one with 'caisson prices import'")]
    public void A_table_that_is_not_ours_is_refused_with_the_place(string json, string says) =>
        Assert.Contains(says, Assert.IsType<PriceTableOutcome.Refused>(PriceTable.Read(Encoding.UTF8.GetBytes(json), "t")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_table_goes_before_the_built_in_one_and_the_providers_own_prices_before_both()
    {
        var table = Assert.IsType<PriceTableOutcome.Parsed>(PriceTable.Read("""{"source": "s", "date": "2026-08-01", "providers": {"openai": [{"match": ["gpt-4o", "gpt-5*"], "input": 7, "output": 8}]}}"""u8.ToArray(), "prices.json")).Table.Over(PriceTable.Embedded);
        var options = new ProviderOptions { Name = "openai", BaseUrl = "http://127.0.0.1/v1" };
        options.Prices["gpt-5-mini"] = new PriceOptions { Input = 1, Output = 2 };
        var provider = new Provider(options, table, _ => null);

        Assert.Equal((7L, "prices.json"), (provider.PriceOf("gpt-4o")!.Base.Input, provider.PriceOf("gpt-4o")!.Origin!.Name));
        Assert.Equal((150_000L, PriceTable.Embedded.Origin), (provider.PriceOf("gpt-4o-mini")!.Base.Input, provider.PriceOf("gpt-4o-mini")!.Origin));
        Assert.Equal((1_000_000L, "providers.openai.prices.gpt-5-mini"), (provider.PriceOf("gpt-5-mini")!.Base.Input, provider.PriceOf("gpt-5-mini")!.Origin!.Name));
        Assert.Equal(3, Asked.Select(m => provider.PriceOf(m)!.Origin!.Digest).Distinct().Count(d => d.Length == 64));
    }

    private static PriceImportOutcome.Imported Import(string list) =>
        Assert.IsType<PriceImportOutcome.Imported>(PriceImport.Read(Encoding.UTF8.GetBytes(list), null, "list.json", Today));

    private static IEnumerable<(string, string, ModelPrice)> Prices(PriceImportOutcome.Imported imported) =>
        imported.Table.All.Select(p => (p.Provider, p.Pattern, p.Price with { Origin = null })).OrderBy(p => (p.Provider, p.Pattern), Comparer<(string, string)>.Create((a, b) =>
            string.CompareOrdinal($"{a.Item1}/{a.Item2}", $"{b.Item1}/{b.Item2}")));

    /// <summary>The text with some of its words and signs changed for others, which mostly leaves it JSON.</summary>
    private static Gen<byte[]> Damaged(string text) =>
        Gen.Select(Gen.Int[0, text.Length - 1], Gen.Int[0, 12], Gen.Int[0, Damage.Length - 1])
            .Array[1, 4].Select(changes =>
            {
                var damaged = text;
                foreach (var (at, length, with) in changes)
                {
                    var from = Math.Min(at, damaged.Length);
                    damaged = damaged[..from] + Damage[with] + damaged[Math.Min(from + length, damaged.Length)..];
                }

                return Encoding.UTF8.GetBytes(damaged);
            });

    private static bool IsLine(string text) => text.Length is > 0 and < 800 && !text.Any(char.IsControl);
}
