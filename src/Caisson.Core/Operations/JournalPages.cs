using System.Runtime.CompilerServices;
using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Operations;

/// <summary>An entry as stored, and its body wherever that stands.</summary>
internal readonly record struct ReadEntry(JournalEntry Stored, ReadOnlyMemory<byte> Body)
{
    /// <summary>With the body in its place. Results that are blobs stay away: they may be large, and only replay needs them.</summary>
    internal JournalEntry Entry => Stored with { Body = Body };

    /// <summary>Held in the journal itself.</summary>
    internal long Bytes => Stored.Body.Length + (Stored.Payload?.Length ?? 0);
}

/// <summary>Reads a journal without the results that stand in blobs.</summary>
internal sealed class JournalPages(IRunReader reader, IBlobStore blobs)
{
    private const int PageSize = 200;

    /// <param name="upTo">The last entry to read.</param>
    internal async IAsyncEnumerable<ReadEntry> ReadAsync(RunId run, long upTo, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var after = 0L;
        while (after < upTo)
        {
            var page = await reader.ReadJournalAsync(run, after, (int)Math.Min(PageSize, upTo - after), cancellationToken);
            if (page.Count == 0)
                yield break;
            foreach (var entry in page)
                yield return new ReadEntry(entry, await BodyAsync(entry, cancellationToken));
            after = page[^1].Seq;
        }
    }

    internal async Task<OpenWork> OpenWorkAsync(RunRecord run, CancellationToken cancellationToken)
    {
        var work = new OpenWork();
        await foreach (var read in ReadAsync(run.Id, run.LastSeq, cancellationToken))
            work.Add(read.Entry);
        return work;
    }

    private async Task<ReadOnlyMemory<byte>> BodyAsync(JournalEntry entry, CancellationToken cancellationToken)
    {
        if (entry.Blob is null || !entry.Body.IsEmpty)
            return entry.Body;
        try
        {
            return await blobs.GetAsync(entry.Blob, cancellationToken) ?? default;
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DatabaseCorrupt)
        {
            // Who needs this entry finds out that it cannot be read; who looks at a broken run goes on.
            return default;
        }
    }
}
