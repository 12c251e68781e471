using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Caisson.Gateway.Prices.Import;

/// <summary>
/// The list of pydantic/genai-prices: providers with models, in US dollars per million tokens, a rate either a number or
/// a base with tiers, and prices either one set or several that hold at different times.
/// </summary>
internal static partial class GenaiPrices
{
    private const int Deepest = 8;
    private static readonly string[] Ours = ["input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"];

    /// <summary>Prices of what the gateway does not let through, or counts as text.</summary>
    private static readonly string[] Beside = ["web_searches_kcount", "cache_write_1h_mtok", "input_audio_mtok", "cache_audio_read_mtok", "input_image_mtok", "cache_image_read_mtok", "input_video_mtok"];

    public static void Read(JsonElement root, DateOnly today, PriceDraft draft)
    {
        foreach (var provider in root.EnumerateArray())
        {
            if (Word(provider, "id") is not { Length: > 0 } id || !provider.TryGetProperty("models", out var models) || models.ValueKind != JsonValueKind.Array)
            {
                draft.Skip(Word(provider, "id") ?? "?", "no provider with an id and models");
                continue;
            }

            foreach (var model in models.EnumerateArray())
                ReadModel(id, model, today, draft);
        }
    }

    private static void ReadModel(string provider, JsonElement model, DateOnly today, PriceDraft draft)
    {
        var name = Word(model, "id") ?? "?";
        if (Problem(model, name, today, out var price) is { } problem)
        {
            draft.Skip($"{provider}/{name}", problem);
            return;
        }

        var patterns = new List<string>();
        if (!model.TryGetProperty("match", out var match))
            patterns.Add(name);
        else if (Globs(match, patterns, 0) is { } odd)
            draft.Skip($"{provider}/{name}", odd);
        if (patterns.Count > 0)
            draft.Add(provider, name, patterns, price!);
    }

    private static string? Problem(JsonElement model, string name, DateOnly today, out ModelPrice? price)
    {
        price = null;
        if (model.ValueKind != JsonValueKind.Object || !model.TryGetProperty("prices", out var prices))
            return "no prices";
        var sets = InForce(prices, today);
        if (sets is null or [])
            return "no prices that are in force";
        Rates? dearest = null;
        foreach (var set in sets)
        {
            if (ReadRates(set, out var rates) is { } problem)
                return problem;
            dearest = dearest is { } other ? other.OrDearer(rates) : rates;
        }

        var (basis, over, from) = dearest!.Value;
        var embeds = name.Contains("embed", StringComparison.OrdinalIgnoreCase);
        if (basis[0] is null || (basis[1] is null && !embeds))
            return "no price for a token of input or output";
        if (basis[0] == 0 || (basis[1] is null or 0 && !embeds))
            return "a price of 0: a model that is free is set as such under providers.NAME.prices";
        var context = model.TryGetProperty("context_window", out var size) && size.ValueKind == JsonValueKind.Number && size.TryGetInt64(out var tokens) && tokens is > 0 and <= PriceFile.MostTokens ? tokens : (long?)null;
        price = new ModelPrice(Whole(basis), from is { } start ? new LongContext(start, Whole(over)) : null, context);
        return null;
    }

    private static TokenRates Whole(long?[] rates) => new(rates[0] ?? 0, rates[1] ?? 0, rates[2], rates[3]);

    /// <summary>The sets of prices that hold today or will; of those with a start date only the last one begun.</summary>
    private static List<JsonElement>? InForce(JsonElement prices, DateOnly today)
    {
        if (prices.ValueKind == JsonValueKind.Object)
            return [prices];
        if (prices.ValueKind != JsonValueKind.Array)
            return null;
        (DateOnly Start, JsonElement Set)? begun = null;
        var others = new List<JsonElement>();
        foreach (var conditional in prices.EnumerateArray())
        {
            if (conditional.ValueKind != JsonValueKind.Object || !conditional.TryGetProperty("prices", out var set))
                return null;
            var start = Start(conditional);
            if (start is null || start > today)
                others.Add(set);
            else if (begun is not { } last || start >= last.Start)
                begun = (start.Value, set);
        }

        return begun is { } current ? [current.Set, .. others] : others;
    }

    /// <summary>The beginning of time where there is no condition; <c>null</c> for a condition other than a date, which may hold at any time.</summary>
    private static DateOnly? Start(JsonElement conditional)
    {
        if (!conditional.TryGetProperty("constraint", out var constraint) || constraint.ValueKind == JsonValueKind.Null)
            return DateOnly.MinValue;
        return Word(constraint, "start_date") is { } text && DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var date) ? date : null;
    }

    private static string? ReadRates(JsonElement set, out Rates rates)
    {
        rates = new Rates(new long?[4], new long?[4], null);
        if (set.ValueKind != JsonValueKind.Object)
            return "no prices";
        foreach (var member in set.EnumerateObject().Where(m => m.Value.ValueKind != JsonValueKind.Null && !Beside.Contains(m.Name, StringComparer.Ordinal)))
        {
            // Thoughts are billed output, and are not told apart here.
            var kind = member.Name == "output_reasoning_mtok" ? 1 : Array.IndexOf(Ours, member.Name);
            if (kind < 0)
                return $"{member.Name}: not billed by tokens of text alone";
            if (!Tiered(member.Value, out var basis, out var over, out var from))
                return $"{member.Name} is no price from 0 to 1000000 US dollars";
            rates = rates.With(kind, basis, over, from);
        }

        return null;
    }

    /// <summary>A rate, the dearest of its tiers, and where they begin.</summary>
    private static bool Tiered(JsonElement value, out long basis, out long over, out long? from)
    {
        (basis, over, from) = (0, 0, null);
        if (value.ValueKind == JsonValueKind.Number)
            return PriceDraft.Pico(value, 1_000_000) is { } flat && (basis = over = flat) >= 0;
        if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty("base", out var plain) || PriceDraft.Pico(plain, 1_000_000) is not { } first
            || !value.TryGetProperty("tiers", out var tiers) || tiers.ValueKind != JsonValueKind.Array)
            return false;
        basis = over = first;
        foreach (var tier in tiers.EnumerateArray())
        {
            if (tier.ValueKind != JsonValueKind.Object || !tier.TryGetProperty("price", out var rate) || PriceDraft.Pico(rate, 1_000_000) is not { } pico
                || !tier.TryGetProperty("start", out var start) || start.ValueKind != JsonValueKind.Number || !start.TryGetInt64(out var tokens) || tokens is < 1 or > PriceFile.MostTokens)
                return false;
            over = from is null ? pico : Math.Max(over, pico);
            from = Math.Min(from ?? tokens, tokens);
        }

        return true;
    }

    /// <summary>The list's match as globs; what cannot be one is told.</summary>
    private static string? Globs(JsonElement match, List<string> patterns, int depth)
    {
        if (match.ValueKind != JsonValueKind.Object || match.EnumerateObject().ToList() is not [var condition] || depth > Deepest)
            return "a match that is no condition";
        if (condition is { Name: "or", Value.ValueKind: JsonValueKind.Array })
            return condition.Value.EnumerateArray().Select(m => Globs(m, patterns, depth + 1)).ToList().Find(p => p is not null);
        if (condition.Value.ValueKind != JsonValueKind.String)
            return $"a match '{condition.Name}' that is no glob";
        var text = condition.Value.GetString()!;
        if (condition.Name != "regex" && text.AsSpan().ContainsAny('*', '?'))
            return "a name with '*' or '?' would be a glob";
        var glob = condition.Name switch
        {
            "equals" => text,
            "starts_with" => text + "*",
            "ends_with" => "*" + text,
            "contains" => $"*{text}*",
            "regex" => OfRegex(text),
            _ => null,
        };
        if (glob is null)
            return $"a match '{condition.Name}' that is no glob";
        patterns.Add(glob);
        return null;
    }

    /// <summary>The simple ones: a fixed beginning, digits, and an end that is fixed or open.</summary>
    private static string? OfRegex(string regex)
    {
        if (!Simple().IsMatch(regex))
            return null;
        var open = !regex.EndsWith('$');
        var glob = Digits().Replace(regex.Trim('^', '$'), d => new string('?', d.Groups[1].Success ? d.Groups[1].Value[0] - '0' : 1)).Replace("\\.", ".", StringComparison.Ordinal);
        return open ? glob + "*" : glob;
    }

    private static string? Word(JsonElement entry, string name) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    [GeneratedRegex(@"\A\^(?:[A-Za-z0-9_:/@ -]|\\\.|\\d(?:\{[1-9]\})?){1,200}\$?\z")]
    private static partial Regex Simple();

    [GeneratedRegex(@"\\d(?:\{([1-9])\})?")]
    private static partial Regex Digits();

    /// <summary>By kind, in the order of <see cref="Ours"/>.</summary>
    private readonly record struct Rates(long?[] Base, long?[] Over, long? From)
    {
        public Rates With(int kind, long basis, long over, long? from)
        {
            Base[kind] = Math.Max(Base[kind] ?? 0, basis);
            Over[kind] = Math.Max(Over[kind] ?? 0, over);
            return this with { From = Least(From, from) };
        }

        public Rates OrDearer(Rates other) => new(
            [.. Base.Zip(other.Base, Most)],
            [.. Over.Zip(other.Over, Most)],
            Least(From, other.From));

        private static long? Least(long? a, long? b) => a is { } x && b is { } y ? Math.Min(x, y) : a ?? b;

        private static long? Most(long? a, long? b) => a is { } x && b is { } y ? Math.Max(x, y) : a ?? b;
    }
}
