using Caisson.Contracts;
using Caisson.Core.Blobs;
using Caisson.Core.Journal;
using Caisson.Core.Stores;

namespace Caisson.Core.Verification;

/// <param name="Entries">How many were looked at.</param>
/// <param name="Truncated">More was found than is listed.</param>
public sealed record VerifyReport(RunId Run, long Entries, IReadOnlyList<Finding> Findings, bool Truncated);

/// <summary>Reads a run's journal page by page, with every blob that it names, and lets the verifier judge it.</summary>
internal sealed class RunVerification(IRunReader reader, IBlobStore blobs)
{
    private const int PageSize = 200;

    /// <summary><c>null</c> for a run that does not exist.</summary>
    internal async Task<VerifyReport?> VerifyAsync(RunId run, CancellationToken cancellationToken)
    {
        // Row and journal change in one transaction: what the row counts is what it was made from, whatever comes after.
        if (await reader.FindAsync(run, cancellationToken) is not { } row)
            return null;
        var verifier = new JournalVerifier(run);
        var roots = new HashSet<string>(StringComparer.Ordinal);
        var entries = 0L;
        while (verifier.LastSeq < row.LastSeq)
        {
            var page = (await reader.ReadJournalAsync(run, verifier.LastSeq, PageSize, cancellationToken)).Where(e => e.Seq <= row.LastSeq).ToList();
            if (page.Count == 0)
                break;
            foreach (var entry in page)
            {
                var content = entry.Blob is { } address ? await BlobAsync(entry.Seq, address, verifier.Found, cancellationToken) : entry.Body;
                var body = verifier.Add(entry, entry.Body.IsEmpty ? content : entry.Body);
                // What a run let go when it ended may have been swept.
                if (RootOf(body) is { } root && (row.Summary.Kept is null || root == row.Summary.WorkspaceRoot) && roots.Add(root))
                    await BlobAsync(entry.Seq, root, verifier.Found, cancellationToken);
            }

            entries += page.Count;
        }

        verifier.Finish(row);
        return new VerifyReport(run, entries, verifier.Found.Items, verifier.Found.Truncated);
    }

    private async Task<ReadOnlyMemory<byte>?> BlobAsync(long seq, string address, FindingList found, CancellationToken cancellationToken)
    {
        try
        {
            if (await blobs.GetAsync(address, cancellationToken) is { } content)
                return content;
            found.Add(seq, FindingCode.BlobMissing, $"blob {address} is gone");
        }
        catch (CaissonException problem) when (problem.Code == ErrorCodes.DatabaseCorrupt)
        {
            found.Add(seq, FindingCode.BlobCorrupt, $"blob {address}: {problem.Message}");
        }

        return null;
    }

    private static string? RootOf(EntryBody? body) => body switch
    {
        EntryBody.StepCompleted completed => completed.Workspace,
        EntryBody.WorkspaceSaved saved => saved.Root,
        EntryBody.WorkspaceKept kept => kept.Root,
        _ => null,
    };
}
