using System.Text;
using Caisson.Core.Journal;
using Caisson.Gateway.Wires.Responses;

namespace Caisson.Gateway.Processes;

/// <summary>The items of the answers that a run has recorded, by their ids, for clients that only name them.</summary>
internal sealed class RecordedItems(Func<IReadOnlyList<StepRecord>> recorded)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, string> _items = new(StringComparer.Ordinal);
    private int _read;

    /// <summary>The request with the items in place of their names.</summary>
    public ReadOnlyMemory<byte> Fill(string path, ReadOnlyMemory<byte> body)
    {
        if (!ItemReferences.MayBeIn(path, body.Span))
            return body;
        lock (_lock)
        {
            var records = recorded();
            for (; _read < records.Count; _read++)
            {
                if (records[_read] is { Failure: null } record && RecordedExchange.Decode(record.Result.Span) is { Wire: ResponsesWire.WireName } exchange)
                    Add(exchange);
            }

            return ItemReferences.Fill(body, _items.GetValueOrDefault);
        }
    }

    private void Add(RecordedExchange exchange)
    {
        var isStream = exchange.ContentType?.StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase) == true;
        foreach (var (id, json) in ItemReferences.ItemsOf(exchange.Body ?? Encoding.UTF8.GetString(exchange.Bytes ?? []), isStream))
            _items[id] = json;
    }
}
