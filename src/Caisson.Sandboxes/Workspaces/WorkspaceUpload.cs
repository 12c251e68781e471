using System.Formats.Tar;
using System.Text;
using Caisson.Core.Blobs;
using Caisson.Core.Sandboxes;

namespace Caisson.Sandboxes.Workspaces;

/// <summary>Makes a saved workspace of an archive that was checked: every path is clean, relative and once there.</summary>
public sealed class WorkspaceUpload(IBlobStore blobs)
{
    private const ushort FolderMode = 0x1ed, FileMode = 0x1a4, ProgramMode = 0x1ed; // 0755, 0644

    /// <param name="pathOf">A name of the archive as a path of the workspace; empty for the workspace itself.</param>
    public async Task<WorkspaceRoot> SaveAsync(Stream archive, Func<string, string> pathOf, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(pathOf);
        var root = new Folder();
        await using var tar = new TarReader(archive, leaveOpen: true);
        while (await tar.GetNextEntryAsync(copyData: false, cancellationToken) is { } entry)
        {
            if (entry.EntryType == TarEntryType.GlobalExtendedAttributes)
                continue;
            string[] path = pathOf(entry.Name).Split('/', StringSplitOptions.RemoveEmptyEntries);
            switch (entry.EntryType)
            {
                case TarEntryType.Directory:
                    root.Below(path);
                    break;
                case TarEntryType.SymbolicLink:
                    root.Below(path.AsSpan(..^1)).Entries[path[^1]] = new TreeEntry(Bytes(path[^1]), TreeKind.Link, 0, 0, TreeContent.Inline, Bytes(entry.LinkName));
                    break;
                case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                    root.Below(path.AsSpan(..^1)).Entries[path[^1]] = await FileAsync(path[^1], entry, cancellationToken);
                    break;
            }
        }

        return new WorkspaceRoot(await StoreAsync(root, cancellationToken));
    }

    private async Task<TreeEntry> FileAsync(string name, TarEntry entry, CancellationToken cancellationToken)
    {
        var content = new byte[entry.Length];
        if (entry.DataStream is { } data)
            await data.ReadExactlyAsync(content, cancellationToken);
        var mode = entry.Mode.HasFlag(UnixFileMode.UserExecute) ? ProgramMode : FileMode;
        if (content.Length <= Workspace.InlineLimit)
            return new TreeEntry(Bytes(name), TreeKind.File, mode, content.Length, TreeContent.Inline, content);
        if (content.Length <= PieceList.PieceSize)
            return new TreeEntry(Bytes(name), TreeKind.File, mode, content.Length, TreeContent.Blob, await PutAsync(content, cancellationToken));
        var pieces = new List<(long, string?)>();
        for (var at = 0; at < content.Length; at += PieceList.PieceSize)
            pieces.Add((1, Encoding.ASCII.GetString(await PutAsync(content.AsMemory(at, Math.Min(PieceList.PieceSize, content.Length - at)), cancellationToken))));
        return new TreeEntry(Bytes(name), TreeKind.File, mode, content.Length, TreeContent.Pieces, await PutAsync(PieceList.Encode(pieces), cancellationToken));
    }

    private async Task<string> StoreAsync(Folder folder, CancellationToken cancellationToken)
    {
        foreach (var (name, below) in folder.Folders)
            folder.Entries[name] = new TreeEntry(Bytes(name), TreeKind.Folder, FolderMode, 0, TreeContent.Blob, Bytes(await StoreAsync(below, cancellationToken)));
        return Encoding.ASCII.GetString(await PutAsync(TreeNode.Encode(folder.Entries.Values), cancellationToken));
    }

    private async Task<byte[]> PutAsync(ReadOnlyMemory<byte> content, CancellationToken cancellationToken) =>
        Encoding.ASCII.GetBytes((await blobs.PutAsync([content], cancellationToken))[0]);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private sealed class Folder
    {
        internal Dictionary<string, TreeEntry> Entries { get; } = new(StringComparer.Ordinal);

        internal Dictionary<string, Folder> Folders { get; } = new(StringComparer.Ordinal);

        internal Folder Below(ReadOnlySpan<string> path)
        {
            var at = this;
            foreach (var part in path)
                at = at.Folders.TryGetValue(part, out var below) ? below : at.Folders[part] = new Folder();
            return at;
        }
    }
}
