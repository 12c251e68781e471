using System.Globalization;
using System.Text.Json;

namespace Caisson.Gateway.Prices.Import;

/// <summary>
/// LiteLLM's list: an object whose members are models, in US dollars per token, with suffixes for tiers
/// (<c>…_above_200k_tokens</c>), for batches and for priority.
/// </summary>
internal static class LiteLlm
{
    private const string Input = "input_cost_per_token", Output = "output_cost_per_token", Reasoning = "output_cost_per_reasoning_token";
    private const string Cached = "cache_read_input_token_cost", CacheWrite = "cache_creation_input_token_cost";

    /// <summary>Prices beside those of text that a model's calls would be billed at, and that our table has no kind for.</summary>
    private static readonly string[] Foreign = ["input_cost_per_request", "output_cost_per_image", "output_cost_per_audio_token", "output_cost_per_image_token", "output_cost_per_second", "input_cost_per_second", "input_cost_per_character", "output_cost_per_character"];

    /// <summary>The list's names of providers where the built-in table has others.</summary>
    private static readonly Dictionary<string, string> Names = new(StringComparer.Ordinal)
    {
        ["gemini"] = "google",
        ["xai"] = "x-ai",
        ["together_ai"] = "together",
        ["fireworks_ai"] = "fireworks",
        ["moonshot"] = "moonshotai",
    };

    public static void Read(JsonElement root, PriceDraft draft)
    {
        foreach (var model in root.EnumerateObject())
        {
            if (model.Name == "sample_spec")
                continue;
            if (Problem(model, out var provider, out var price) is { } problem)
                draft.Skip(model.Name, problem);
            else
                draft.Add(Names.GetValueOrDefault(provider, provider), model.Name, Patterns(model, provider), price!);
        }
    }

    private static string? Problem(JsonProperty model, out string provider, out ModelPrice? price)
    {
        (provider, price) = ("", null);
        var entry = model.Value;
        if (entry.ValueKind != JsonValueKind.Object)
            return "no object";
        if (Word(entry, "litellm_provider") is not { Length: > 0 } named)
            return "no litellm_provider";
        provider = named;
        if (model.Name.AsSpan().ContainsAny('*', '?'))
            return "a name with '*' or '?' would be a glob";
        var mode = Word(entry, "mode");
        if (mode is not ("chat" or "completion" or "responses" or "embedding"))
            return $"mode '{mode}' is not billed by tokens of text";
        if (Foreign.FirstOrDefault(f => entry.TryGetProperty(f, out var value) && PriceDraft.Pico(value, 1) is not (null or 0)) is { } foreign)
            return $"{foreign}: not billed by tokens of text alone";
        var tiers = Tiers(entry, out var problem);
        if (problem is not null)
            return problem;
        var (input, output) = (tiers[0].Input, tiers[0].Output);
        if (input is null || (output is null && mode != "embedding"))
            return "no price for a token of input or output";
        if (input == 0 || (output is null or 0 && mode != "embedding"))
            return "a price of 0: a model that is free is set as such under providers.NAME.prices";
        price = new ModelPrice(Whole(tiers[0]), tiers.Count > 1 ? new LongContext(tiers[1].From, Dearest(tiers)) : null, Context(entry));
        return null;
    }

    /// <summary>The base, and what holds from a number of tokens on, in the order of that number.</summary>
    private static List<Tier> Tiers(JsonElement entry, out string? problem)
    {
        problem = null;
        var tiers = new SortedDictionary<long, Tier> { [0] = new(0) };
        foreach (var member in entry.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Null || Rate(member.Name, out var from) is not { } rate)
                continue;
            if (PriceDraft.Pico(member.Value, 1) is not { } pico)
            {
                problem = $"{member.Name} is no price from 0 to 1 US dollar";
                break;
            }

            tiers[from] = (tiers.TryGetValue(from, out var tier) ? tier : new Tier(from)).With(rate, pico);
        }

        if (entry.TryGetProperty("tiered_pricing", out var list) && list.ValueKind == JsonValueKind.Array)
            problem ??= Ranges(list, tiers);
        return [.. tiers.Values];
    }

    /// <summary>Some models have a list of ranges of input tokens instead.</summary>
    private static string? Ranges(JsonElement list, SortedDictionary<long, Tier> tiers)
    {
        foreach (var range in list.EnumerateArray())
        {
            if (range.ValueKind != JsonValueKind.Object || !range.TryGetProperty("range", out var bounds) || bounds.ValueKind != JsonValueKind.Array
                || bounds.GetArrayLength() == 0 || bounds[0].ValueKind != JsonValueKind.Number || !bounds[0].TryGetDecimal(out var from) || from < 0 || from > PriceFile.MostTokens)
                return "tiered_pricing without ranges of tokens";
            var tier = tiers.TryGetValue((long)from, out var known) ? known : new Tier((long)from);
            foreach (var member in range.EnumerateObject().Where(m => m.Value.ValueKind != JsonValueKind.Null))
            {
                if (Rate(member.Name, out var above) is not { } rate || above != 0)
                    continue;
                if (PriceDraft.Pico(member.Value, 1) is not { } pico)
                    return $"tiered_pricing.{member.Name} is no price from 0 to 1 US dollar";
                tier = tier.With(rate, pico);
            }

            tiers[(long)from] = tier;
        }

        return null;
    }

    /// <summary>Which rate a member is, and from how many tokens on; <c>null</c> for all others, as prices of batches.</summary>
    private static string? Rate(string name, out long from)
    {
        const string above = "_above_", unit = "k_tokens";
        from = 0;
        var at = name.IndexOf(above, StringComparison.Ordinal);
        var rate = at < 0 ? name : name[..at];
        if (at >= 0)
        {
            if (!name.EndsWith(unit, StringComparison.Ordinal) || !long.TryParse(name.AsSpan(at + above.Length, Math.Max(0, name.Length - unit.Length - at - above.Length)), NumberStyles.None, CultureInfo.InvariantCulture, out var thousands) || thousands is 0 or > PriceFile.MostTokens / 1000)
                return null;
            from = thousands * 1000;
        }

        return rate is Input or Output or Reasoning or Cached or CacheWrite ? rate : null;
    }

    // A tier of which the list says only a part has the base's rates for the rest. Several tiers become one: from the
    // first, at the dearest.
    private static TokenRates Dearest(List<Tier> tiers)
    {
        var all = tiers.Skip(1).Select(t => Whole(new Tier(t.From, t.Input ?? tiers[0].Input, t.Output ?? tiers[0].Output, t.Cached ?? tiers[0].Cached, t.CacheWrite ?? tiers[0].CacheWrite))).ToList();
        return new TokenRates(all.Max(r => r.Input), all.Max(r => r.Output), all.Max(r => r.Cached), all.Max(r => r.CacheWrite));
    }

    private static TokenRates Whole(Tier tier) => new(tier.Input ?? 0, tier.Output ?? 0, tier.Cached, tier.CacheWrite);

    private static IEnumerable<string> Patterns(JsonProperty model, string provider)
    {
        var aliases = model.Value.TryGetProperty("aliases", out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(a => a.ValueKind == JsonValueKind.String).Select(a => a.GetString()!).Where(a => !a.AsSpan().ContainsAny('*', '?'))
            : [];
        return aliases.Prepend(model.Name).Select(name => name.StartsWith(provider + "/", StringComparison.Ordinal) ? name[(provider.Length + 1)..] : name);
    }

    // The older member says either the one or the other.
    private static long? Context(JsonElement entry) =>
        entry.TryGetProperty("max_input_tokens", out var size) && size.ValueKind == JsonValueKind.Number && size.TryGetInt64(out var tokens) && tokens is > 0 and <= PriceFile.MostTokens
            ? tokens
            : null;

    private static string? Word(JsonElement entry, string name) =>
        entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private readonly record struct Tier(long From, long? Input = null, long? Output = null, long? Cached = null, long? CacheWrite = null)
    {
        public Tier With(string rate, long pico) => rate switch
        {
            LiteLlm.Input => this with { Input = pico },
            // Thoughts are billed output, and are not told apart here.
            LiteLlm.Output or Reasoning => this with { Output = Math.Max(Output ?? 0, pico) },
            LiteLlm.Cached => this with { Cached = pico },
            _ => this with { CacheWrite = pico },
        };
    }
}
