using Caisson.Contracts;
using Caisson.Core.Blobs;

namespace Caisson.Core.Journal;

/// <summary>Moves what is too large for the journal to the blobs and back.</summary>
internal static class JournalWriter
{
    /// <summary>A draft whose large part is durable as a blob before the entry that names it is written.</summary>
    internal static async ValueTask<JournalDraft> DraftAsync(
        IBlobStore blobs, EntryKind kind, byte[] body, CancellationToken cancellationToken,
        string scope = "", string? key = null, int attempt = 0, ReadOnlyMemory<byte>? payload = null)
    {
        // RunCreated and RunEnded carry their text in the body: it moves to the payload's place when it is large.
        ReadOnlyMemory<byte>? large = payload ?? (body.Length > JournalDraft.InlineBytes ? body.AsMemory() : null);
        if (large is not { } content || content.Length <= JournalDraft.InlineBytes)
            return new JournalDraft(kind, body, scope, key, attempt, payload);
        var address = (await blobs.PutAsync([content], cancellationToken))[0];
        return new JournalDraft(kind, payload is null ? ReadOnlyMemory<byte>.Empty : body, scope, key, attempt, null, address);
    }

    internal static ValueTask<JournalDraft> DraftAsync(IBlobStore blobs, EntryDraft draft, CancellationToken cancellationToken) =>
        DraftAsync(blobs, draft.Kind, EntryBodies.Write(draft.Body), cancellationToken, draft.Scope, draft.Key, draft.Attempt, draft.Payload);

    internal static async Task<IReadOnlyList<JournalEntry>> ResolveAsync(IBlobStore blobs, IReadOnlyList<JournalEntry> entries, CancellationToken cancellationToken)
    {
        if (entries.All(e => e.Blob is null))
            return entries;
        var resolved = new List<JournalEntry>(entries.Count);
        foreach (var entry in entries)
        {
            if (entry.Blob is null)
            {
                resolved.Add(entry);
                continue;
            }

            var content = await blobs.GetAsync(entry.Blob, cancellationToken)
                ?? throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"blob {entry.Blob} of journal entry {entry.Seq} is gone: restore the data directory from a backup");
            resolved.Add(entry.Body.IsEmpty ? entry with { Body = content } : entry with { Payload = content });
        }

        return resolved;
    }
}
