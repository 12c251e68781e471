namespace Caisson.Contracts;

/// <summary>
/// Names in an archive that somebody else made, before anything is written by them. Whoever unpacks makes every folder
/// himself and links last, so what is left to check is the text.
/// </summary>
public static class ArchivePath
{
    private const int MaxLength = 4_096;
    private const int MaxName = 255;

    /// <summary>The name without empty parts and dots, relative to the folder that it is unpacked into; empty for that folder itself.</summary>
    public static (string? Path, string? Complaint) Check(string name)
    {
        if (name.StartsWith('/'))
            return (null, "is absolute");
        if (name.Length > MaxLength)
            return (null, "is too long");
        if (name.Contains('\0', StringComparison.Ordinal) || name.Contains('\ufffd', StringComparison.Ordinal))
            return (null, "is no UTF-8 text");
        var parts = name.Split('/').Where(part => part is not ("" or ".")).ToList();
        if (parts.Contains(".."))
            return (null, "leads upwards by '..'");
        return parts.Any(part => part.Length > MaxName) ? (null, "is too long") : (string.Join('/', parts), null);
    }

    /// <summary>
    /// Whether a link at a (checked) path leads to something in the same folder or below it. Only leading '..' are
    /// allowed: those climb over folders, which are real; one that follows a name may climb over another link.
    /// </summary>
    public static bool LinkStaysInside(string path, string target)
    {
        if (target.Length is 0 or > MaxLength || target.StartsWith('/') || target.Contains('\0', StringComparison.Ordinal) || target.Contains('\ufffd', StringComparison.Ordinal))
            return false;
        var parts = target.Split('/').Where(part => part is not ("" or ".")).ToList();
        var up = parts.TakeWhile(part => part == "..").Count();
        return up <= path.Count(c => c == '/') && !parts.Skip(up).Contains("..");
    }
}

/// <summary>The names of one archive together: none twice, and none below something that is no folder.</summary>
public sealed class ArchiveNames
{
    private readonly HashSet<string> _folders = new(StringComparer.Ordinal);
    private readonly HashSet<string> _others = new(StringComparer.Ordinal);

    /// <summary>Why the name cannot come here, or <c>null</c>.</summary>
    public string? Add(string path, bool isFolder)
    {
        for (var slash = path.IndexOf('/'); slash >= 0; slash = path.IndexOf('/', slash + 1))
        {
            if (_others.Contains(path[..slash]))
                return $"lies below '{path[..slash]}', which is no folder";
            _folders.Add(path[..slash]);
        }

        if (isFolder)
            _folders.Add(path);
        return (isFolder ? _others.Contains(path) : _folders.Contains(path) || !_others.Add(path)) ? "comes twice" : null;
    }
}
