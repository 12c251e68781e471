using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Caisson.Gateway.Providers;

namespace Caisson.Gateway.Prices.Import;

/// <summary>Public formats of price lists.</summary>
public enum PriceFormat
{
    /// <summary>The dataset of pydantic/genai-prices: a list of providers.</summary>
    GenaiPrices = 1,
    /// <summary>LiteLLM's <c>model_prices_and_context_window.json</c>: an object of models.</summary>
    LiteLlm = 2,
}

/// <summary>What became of a list of somebody else.</summary>
public abstract record PriceImportOutcome
{
    /// <param name="Table">What was made.</param>
    /// <param name="File">The same as bytes of our own format.</param>
    /// <param name="Skipped">What is not in it and why, at most <see cref="PriceImport.MostSkipped"/>.</param>
    /// <param name="SkippedInAll">How many they are.</param>
    public sealed record Imported(PriceFormat Format, PriceTable Table, ReadOnlyMemory<byte> File, IReadOnlyList<SkippedPrice> Skipped, int SkippedInAll) : PriceImportOutcome;

    /// <param name="Message">One line: what the file is not.</param>
    public sealed record Refused(string Message) : PriceImportOutcome;
}

/// <param name="Name">Provider and model, as the list calls them; one printable line.</param>
public sealed record SkippedPrice(string Name, string Reason);

/// <summary>
/// Makes our own table of a public list: facts only, integers, the dearest where the list has several rates that our
/// table does not tell apart, for a hold must be an upper bound.
/// </summary>
public static class PriceImport
{
    /// <summary>So many lines are kept about what was skipped.</summary>
    public const int MostSkipped = 10_000;

    /// <summary>The largest list that is read.</summary>
    public const int MostBytes = 64 << 20;

    /// <param name="format"><c>null</c>: told by the content.</param>
    /// <param name="fileName">Stands in the table as its source.</param>
    /// <param name="today">Stands in the table as its date; of prices that change with time those in force then, or later, are taken.</param>
    public static PriceImportOutcome Read(ReadOnlyMemory<byte> list, PriceFormat? format, string fileName, DateOnly today)
    {
        var shown = ProviderText.Quote(fileName, 128);
        if (list.Length > MostBytes)
            return new PriceImportOutcome.Refused($"{shown}: more than {MostBytes >> 20} MiB: this is no price list");
        try
        {
            using var document = JsonDocument.Parse(list);
            var root = document.RootElement;
            if ((format ?? Detect(root)) is not { } known)
                return new PriceImportOutcome.Refused($"{shown}: neither genai-prices (a list of providers) nor LiteLLM (an object of models); say which with --format");
            if (Mismatch(root, known) is { } problem)
                return new PriceImportOutcome.Refused($"{shown}: {problem}");
            var draft = new PriceDraft();
            if (known == PriceFormat.GenaiPrices)
                GenaiPrices.Read(root, today, draft);
            else
                LiteLlm.Read(root, draft);
            return Finish(known, draft, list, shown, today);
        }
        catch (JsonException e)
        {
            return new PriceImportOutcome.Refused($"{shown}: no JSON: {ProviderText.Quote(e.Message, 200)}");
        }
    }

    private static PriceImportOutcome Finish(PriceFormat format, PriceDraft draft, ReadOnlyMemory<byte> list, string shown, DateOnly today)
    {
        if (draft.Lines.Count == 0)
            return new PriceImportOutcome.Refused(draft.Skipped is [var first, ..]
                ? $"{shown}: no price in it can be used; the first: {first.Name}: {first.Reason}"
                : $"{shown}: there is no price in it");
        var source = string.Create(CultureInfo.InvariantCulture, $"{(format == PriceFormat.LiteLlm ? "litellm" : "genai-prices")} {shown}, sha256 {Convert.ToHexStringLower(SHA256.HashData(list.Span))}");
        var file = PriceFile.Write(source, today, draft.Lines);

        // What is written must be what a server reads: an import that cannot be read back is a fault of ours, told here.
        return PriceFile.Read(file, "the imported table") switch
        {
            PriceTableOutcome.Parsed(var table) => new PriceImportOutcome.Imported(format, table, file, draft.Skipped, draft.SkippedInAll),
            PriceTableOutcome.Refused(var message) => new PriceImportOutcome.Refused($"{shown}: {message}"),
            var other => throw new InvalidOperationException($"unknown outcome {other}"),
        };
    }

    private static PriceFormat? Detect(JsonElement root) => root.ValueKind switch
    {
        JsonValueKind.Array when root.EnumerateArray().Any(p => p.ValueKind == JsonValueKind.Object && p.TryGetProperty("models", out _)) => PriceFormat.GenaiPrices,
        JsonValueKind.Object when root.EnumerateObject().Any(m => m.Value.ValueKind == JsonValueKind.Object && m.Value.TryGetProperty("litellm_provider", out _)) => PriceFormat.LiteLlm,
        _ => null,
    };

    private static string? Mismatch(JsonElement root, PriceFormat format) => (format, root.ValueKind) switch
    {
        (PriceFormat.GenaiPrices, not JsonValueKind.Array) => "a genai-prices file is a list of providers",
        (PriceFormat.LiteLlm, not JsonValueKind.Object) => "a LiteLLM file is an object of models",
        _ => null,
    };
}
