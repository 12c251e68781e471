using System.Text;
using Caisson.Contracts;
using Caisson.Core.Retention;
using Caisson.Core.Stores;

namespace Caisson.Storage.Tests.Safety;

/// <summary>Trees of lines: <c>t ADDRESS</c> names a further tree, <c>f ADDRESS</c> a blob.</summary>
internal sealed class LinkTrees : IWorkspaceTrees
{
    internal static byte[] Tree(params (char Kind, string Address)[] children) => Encoding.ASCII.GetBytes("tree\n" + string.Concat(children.Select(c => $"{c.Kind} {c.Address}\n")));

    public IEnumerable<BlobReference> Children(string address, ReadOnlyMemory<byte> content)
    {
        var lines = Encoding.ASCII.GetString(content.Span).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (lines is not ["tree", ..])
            throw new CaissonException(ErrorCodes.DatabaseCorrupt, $"{address} is no tree");
        return [.. lines.Skip(1).Select(l => new BlobReference(l[2..], l[0] == 't'))];
    }
}
