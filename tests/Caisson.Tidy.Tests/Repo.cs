namespace Caisson.Tidy.Tests;

/// <summary>The files of the repository, as these tests see them: paths relative to its root, with forward slashes.</summary>
internal static class Repo
{
    // What is built, fetched or local never counts. The list mirrors .gitignore; git itself is not asked, so that the
    // tests also hold in an unpacked archive.
    private static readonly HashSet<string> NotOurs =
        [".git", ".idea", ".vs", ".caisson", "TestResults", "artifacts", "bin", "node_modules", "obj"];

    public static string Root { get; } = FindRoot();

    public static IReadOnlyList<string> Files { get; } = [.. Walk(Root).Order(StringComparer.Ordinal)];

    public static IEnumerable<string> Under(string folder, params string[] extensions) =>
        Files.Where(file => (folder.Length == 0 || file.StartsWith(folder + "/", StringComparison.Ordinal))
            && (extensions.Length == 0 || extensions.Contains(Path.GetExtension(file))));

    public static string FullPath(string path) => Path.Combine(Root, path);

    public static string Text(string path) => File.ReadAllText(FullPath(path));

    public static string[] Lines(string path) => File.ReadAllLines(FullPath(path));

    public static bool Exists(string path) => File.Exists(FullPath(path)) || Directory.Exists(FullPath(path));

    /// <summary>Fails with every finding on a line of its own, each beginning with <c>file:line</c> where there is one.</summary>
    public static void Expect(string rule, IEnumerable<string> findings)
    {
        var list = findings.ToList();
        Assert.True(list.Count == 0, $"{rule}\n  {string.Join("\n  ", list)}");
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Caisson.slnx")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"no folder above {AppContext.BaseDirectory} holds Caisson.slnx");
    }

    private static IEnumerable<string> Walk(string folder)
    {
        foreach (var entry in new DirectoryInfo(folder).EnumerateFileSystemInfos())
        {
            if (NotOurs.Contains(entry.Name) || entry.LinkTarget is not null)
                continue;
            if (entry is FileInfo)
            {
                yield return Path.GetRelativePath(Root, entry.FullName).Replace('\\', '/');
            }
            else
            {
                foreach (var file in Walk(entry.FullName))
                    yield return file;
            }
        }
    }
}
