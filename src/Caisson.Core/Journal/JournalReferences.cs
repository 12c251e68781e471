using System.Text.Json;
using Caisson.Contracts;
using Caisson.Core.Stores;

namespace Caisson.Core.Journal;

/// <summary>What an entry keeps alive beside itself. Pure.</summary>
public static class JournalReferences
{
    /// <summary>Whether <see cref="Of"/> has to look into the bodies of this kind.</summary>
    public static bool NamesWorkspace(EntryKind kind) => kind is EntryKind.StepCompleted or EntryKind.WorkspaceSaved;

    /// <summary>
    /// The blob that holds its result, and the workspace saved with it. A body that cannot be read is an error and never
    /// "nothing": whoever asks may be about to delete what nobody refers to.
    /// </summary>
    /// <param name="pruned">Whether its run has ended and let its workspaces go; what it kept stands in its row.</param>
    public static IEnumerable<BlobReference> Of(JournalEntry entry, bool pruned)
    {
        if (entry.Blob is { } blob)
            yield return new BlobReference(blob, IsTree: false);
        if (!pruned && NamesWorkspace(entry.Kind) && Workspace(entry) is { } root)
            yield return new BlobReference(root, IsTree: true);
    }

    private static string? Workspace(JournalEntry entry)
    {
        // A body that was moved to a blob as a whole is a large text of the run's beginning or end, and names no workspace.
        if (entry.Body.IsEmpty)
            return null;
        var name = entry.Kind == EntryKind.StepCompleted ? "workspace"u8 : "root"u8;
        try
        {
            var reader = new Utf8JsonReader(entry.Body.Span);
            string? root = null;
            while (reader.Read())
            {
                if (reader.CurrentDepth != 1 || reader.TokenType != JsonTokenType.PropertyName)
                    continue;
                var found = reader.ValueTextEquals(name);
                reader.Read();
                if (found && reader.TokenType == JsonTokenType.String)
                    root = reader.GetString();
                else
                    reader.Skip();
            }

            return root;
        }
        catch (JsonException problem)
        {
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"journal entry {entry.Seq} cannot be read: {problem.Message}", inner: problem);
        }
    }
}
