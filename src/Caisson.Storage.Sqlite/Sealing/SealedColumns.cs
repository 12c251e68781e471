using System.Globalization;
using System.Runtime.InteropServices;
using Caisson.Contracts;

namespace Caisson.Storage.Sqlite.Sealing;

/// <summary>
/// The columns that hold content, and the place that each value is bound to. Everything else in the database (ids, times,
/// kinds, names of agents and steps, figures) is needed to find and order rows and stays readable. A journal's hashes are
/// sealed too: without a key they would confirm a guess of what an entry says.
/// </summary>
internal sealed class SealedColumns(ContentSeal? seal)
{
    internal static readonly SealedColumns None = new(null);

    internal static string Body(RunId run, long seq) => Entry(run, seq, "body");

    internal static string Payload(RunId run, long seq) => Entry(run, seq, "payload");

    internal static string Chain(RunId run, long seq) => Entry(run, seq, "chain");

    internal static string Input(RunId run, string input) => $"inbox:{run}:{input}:payload";

    internal static string Summary(RunId run) => $"run:{run}:summary";

    internal static string Head(RunId run) => $"run:{run}:chain";

    internal static string Event(RunId run, string kind, string code, string subject) => $"events:{run}:{kind}:{code}:{subject}:detail";

    internal static string Schedule(string name) => $"schedule:{name}:definition";

    /// <summary>What to store. Without a key it is the content itself.</summary>
    internal byte[] Seal(string tenant, string place, ReadOnlyMemory<byte> content) => seal is null ? Bytes(content) : seal.Seal(tenant, place, content.Span);

    internal byte[]? Seal(string tenant, string place, ReadOnlyMemory<byte>? content) => content is { } there ? Seal(tenant, place, there) : null;

    internal byte[] Open(string place, byte[] stored) => Bytes(ContentSeal.Open(seal, place, stored));

    internal byte[]? OpenOrNull(string place, byte[]? stored) => stored is null ? null : Open(place, stored);

    private static string Entry(RunId run, long seq, string column) => string.Create(CultureInfo.InvariantCulture, $"journal:{run}:{seq}:{column}");

    private static byte[] Bytes(ReadOnlyMemory<byte> memory) =>
        MemoryMarshal.TryGetArray(memory, out var segment) && segment.Offset == 0 && segment.Count == segment.Array!.Length
            ? segment.Array
            : memory.ToArray();
}
