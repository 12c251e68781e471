using System.Collections.Frozen;

namespace Caisson.Gateway.Prices;

/// <summary>A table that was read, or what is wrong with it.</summary>
public abstract record PriceTableOutcome
{
    /// <summary>It is whole.</summary>
    public sealed record Parsed(PriceTable Table) : PriceTableOutcome;

    /// <param name="Message">One line: the place, what is there, what is allowed.</param>
    public sealed record Refused(string Message) : PriceTableOutcome;
}

/// <summary>What a token of each known model costs. The file is our own: facts, no logic; see Prices/NOTICE.txt for their source.</summary>
public sealed class PriceTable
{
    private static readonly Lazy<PriceTable> Shipped = new(ReadShipped);

    private readonly PriceTable? _under;
    private readonly FrozenDictionary<string, (string Pattern, ModelPrice Price)[]> _providers;

    internal PriceTable(PriceOrigin origin, FrozenDictionary<string, (string, ModelPrice)[]> providers, PriceTable? under = null)
    {
        Origin = origin;
        _providers = providers;
        _under = under;
    }

    /// <summary>The table that ships with this build.</summary>
    public static PriceTable Embedded => Shipped.Value;

    /// <summary>What it is called, its digest, its source and date.</summary>
    public PriceOrigin Origin { get; }

    /// <summary>All prices, those of this table before those of the one below it.</summary>
    public IEnumerable<(string Provider, string Pattern, ModelPrice Price)> All =>
        _providers.SelectMany(p => p.Value.Select(e => (p.Key, e.Pattern, e.Price))).Concat(_under?.All ?? []);

    /// <summary>Reads our own format, strictly: a member that is not understood could be a price that is not counted.</summary>
    /// <param name="name">What errors and listings call it.</param>
    public static PriceTableOutcome Read(ReadOnlyMemory<byte> json, string name) => PriceFile.Read(json, name);

    /// <summary>This table before another one: where both know a model, this one's price holds.</summary>
    public PriceTable Over(PriceTable under) => new(Origin, _providers, under);

    /// <summary>The price of a provider's model, or <c>null</c>.</summary>
    public ModelPrice? Find(string provider, string model) =>
        (_providers.TryGetValue(provider, out var entries) ? ModelPattern.Best(entries, model) : null) ?? _under?.Find(provider, model);

    private static PriceTable ReadShipped()
    {
        using var stream = typeof(PriceTable).Assembly.GetManifestResourceStream("model-prices.json")!;
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return PriceFile.Read(bytes.ToArray(), "the built-in table") switch
        {
            PriceTableOutcome.Parsed(var table) => table,
            var other => throw new InvalidOperationException($"{other}"),
        };
    }
}
