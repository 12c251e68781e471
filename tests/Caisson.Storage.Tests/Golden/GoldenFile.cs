using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Caisson.Contracts;
using Caisson.Core.InMemory;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Golden;

/// <summary>
/// A recording: runs of one tree with their journals as they were stored, and the blobs that they name. JSON lines, each
/// of one of four kinds, told apart by its first member: <c>sample</c>, <c>run</c>, <c>entry</c>, <c>blob</c>.
/// </summary>
internal sealed class GoldenFile
{
    private static readonly JsonSerializerOptions Format = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    internal required string Sample { get; init; }

    /// <summary>The root first.</summary>
    internal required IReadOnlyList<GoldenRun> Runs { get; init; }

    internal required IReadOnlyDictionary<string, byte[]> Blobs { get; init; }

    internal static IReadOnlyList<string> Names =>
        [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "golden"), "*.jsonl").Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)];

    internal static GoldenFile Read(string name)
    {
        string? sample = null;
        var runs = new List<GoldenRun>();
        var blobs = new Dictionary<string, byte[]>();
        foreach (var text in File.ReadLines(Path.Combine(AppContext.BaseDirectory, "golden", name)))
        {
            if (text.StartsWith("{\"sample\"", StringComparison.Ordinal))
                sample = Parse<Head>(text).Sample;
            else if (text.StartsWith("{\"run\"", StringComparison.Ordinal))
                runs.Add(Parse<RunLine>(text).ToRun());
            else if (text.StartsWith("{\"entry\"", StringComparison.Ordinal))
                runs[^1].Entries.Add(Parse<EntryLine>(text).ToEntry());
            else
                blobs.Add(Parse<BlobLine>(text).Blob, Parse<BlobLine>(text).Content);
        }

        return new GoldenFile { Sample = sample ?? throw new InvalidDataException($"{name} has no head"), Runs = runs, Blobs = blobs };
    }

    /// <summary>Never over a file that is there.</summary>
    internal static async Task WriteNewAsync(string path, string sample, string engine, MemoryState state, MemoryBlobs blobs)
    {
        var text = new StringBuilder().Append(Json(new Head(sample, engine))).Append('\n');
        foreach (var run in state.Runs.Values)
        {
            text.Append(Json(new RunLine(run.Id.ToString(), run.Record.Agent, run.Record.Parent?.ToString(), run.Record.Depth))).Append('\n');
            foreach (var entry in run.Journal)
                text.Append(Json(EntryLine.Of(entry))).Append('\n');
        }

        foreach (var address in state.References().Select(r => r.Address).Distinct().Order(StringComparer.Ordinal))
            text.Append(Json(new BlobLine(address, (await blobs.GetAsync(address, default))!.Value.ToArray()))).Append('\n');
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        await file.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()));
    }

    private static T Parse<T>(string line) => JsonSerializer.Deserialize<T>(line, Format)!;

    private static string Json<T>(T line) => JsonSerializer.Serialize(line, Format);

    /// <param name="Engine">That recorded it.</param>
    private sealed record Head(string Sample, string Engine);

    private sealed record RunLine(string Run, string Agent, string? Parent, int Depth)
    {
        internal GoldenRun ToRun() => new(RunId.Parse(Run), Agent, Parent is null ? null : RunId.Parse(Parent), Depth, []);
    }

    /// <param name="Entry">Its sequence number.</param>
    /// <param name="Kind">The stored number.</param>
    /// <param name="At">Milliseconds since 1970.</param>
    /// <param name="Payload">Where it is text; else <paramref name="Bytes"/>.</param>
    private sealed record EntryLine(long Entry, int Kind, long Epoch, long At, string Scope, string? Key, int Attempt, Guid AppendId, string Body, string? Payload, byte[]? Bytes, string? Blob, string Chain)
    {
        private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

        internal static EntryLine Of(MemoryEntry stored)
        {
            var entry = stored.Entry;
            var text = entry.Payload is { } payload ? TextOf(payload) : null;
            return new EntryLine(entry.Seq, (int)entry.Kind, entry.Epoch, entry.At.ToUnixTimeMilliseconds(), entry.Scope, entry.Key, entry.Attempt, stored.AppendId,
                Strict.GetString(entry.Body.Span), text, text is null ? entry.Payload?.ToArray() : null, entry.Blob, Convert.ToHexStringLower(entry.Chain.Span));
        }

        internal MemoryEntry ToEntry() => new(new JournalEntry(Entry, Epoch, DateTimeOffset.FromUnixTimeMilliseconds(At), (EntryKind)Kind, Scope, Key, Attempt,
            Encoding.UTF8.GetBytes(Body), Payload is null ? Bytes is null ? default(ReadOnlyMemory<byte>?) : Bytes : Encoding.UTF8.GetBytes(Payload), Blob) { Chain = Convert.FromHexString(Chain) }, AppendId);

        private static string? TextOf(ReadOnlyMemory<byte> payload) => payload.Span.IndexOfAnyInRange((byte)0, (byte)0x1f) >= 0 ? null : Strict.GetString(payload.Span);
    }

    private sealed record BlobLine(string Blob, byte[] Content);
}

internal sealed record GoldenRun(RunId Id, string Agent, RunId? Parent, int Depth, List<MemoryEntry> Entries)
{
    internal T Body<T>(EntryKind kind)
        where T : EntryBody => (T)EntryBodies.Read(kind, Entries.Single(e => e.Entry.Kind == kind).Entry.Body);

    internal EntryBody.RunEnded End => Body<EntryBody.RunEnded>(EntryKind.RunEnded);
}
