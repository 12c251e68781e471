using System.Formats.Tar;
using Caisson.Core.Sandboxes;

namespace Caisson.Server.Copying;

/// <summary>A folder of a saved workspace as a tar archive. Links are written as what they are; who unpacks decides about them.</summary>
internal static class CopyOut
{
    internal static async Task WriteAsync(IEnumerable<WorkspaceNode> nodes, Stream output, CancellationToken cancellationToken)
    {
        // Not PAX: the framework reads no name with a newline from that.
        await using var tar = new TarWriter(output, TarEntryFormat.Gnu, leaveOpen: true);
        foreach (var node in nodes)
        {
            var type = node.Kind switch
            {
                WorkspaceNodeKind.Folder => TarEntryType.Directory,
                WorkspaceNodeKind.Link => TarEntryType.SymbolicLink,
                _ => TarEntryType.RegularFile,
            };
            // No times and owners: the workspace keeps none.
            var entry = new GnuTarEntry(type, node.Kind == WorkspaceNodeKind.Folder ? node.Path + "/" : node.Path) { ModificationTime = DateTimeOffset.UnixEpoch };
            if (node.Kind == WorkspaceNodeKind.Link)
                entry.LinkName = node.Target!;
            else
                entry.Mode = (UnixFileMode)(node.Mode & 0x1ff);
            if (node.Kind == WorkspaceNodeKind.File && await node.ReadAsync(cancellationToken) is { Length: > 0 } content)
                entry.DataStream = new MemoryStream(content.ToArray(), writable: false);
            await tar.WriteEntryAsync(entry, cancellationToken);
        }
    }
}
