namespace Caisson.Tidy.Tests.Mutants;

/// <summary>
/// A guard of the engine, the change that takes it away, and the tests of which one must notice. A file of
/// <c>tests/mutants</c>: lines of <c>guard:</c>, <c>file:</c> and <c>tests: PROJECT CLASS</c>, then what stands in the
/// source between <c>&lt;&lt;&lt;&lt;</c> and <c>====</c>, and what stands there without the guard, up to <c>&gt;&gt;&gt;&gt;</c>;
/// several times where the guard stands in several places, of which each alone would do.
/// </summary>
internal sealed record Mutant(string Name, string Guard, string File, IReadOnlyList<(string Project, string Class)> Tests, IReadOnlyList<(string With, string Without)> Changes)
{
    internal const string Folder = "tests/mutants";

    internal static IReadOnlyList<Mutant> All { get; } = [.. Repo.Under(Folder, ".txt").Select(Read)];

    /// <summary>Whether each change changes something, and its text stands in the source once.</summary>
    internal bool Fits(string source) => Changes.Count > 0 && Changes.All(c => c.With != c.Without && source.Split(c.With).Length == 2);

    internal string Apply(string source) => Changes.Aggregate(source, (text, change) => text.Replace(change.With, change.Without, StringComparison.Ordinal));

    private static Mutant Read(string path)
    {
        var parts = Repo.Text(path).Split("<<<<\n");
        var lines = parts[0].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(": ", 2)).ToList();
        return new Mutant(
            Path.GetFileNameWithoutExtension(path),
            One("guard"),
            One("file"),
            [.. lines.Where(l => l[0] == "tests").Select(l => l[1].Split(' ')).Select(words => (words[0], words[1]))],
            [.. parts.Skip(1).Select(Change)]);

        string One(string name) => lines.Single(l => l[0] == name)[1];
    }

    private static (string With, string Without) Change(string text)
    {
        var change = text.Split("====\n", 2);
        return (change[0].TrimEnd('\n'), change[1].Split(">>>>\n")[0].TrimEnd('\n'));
    }
}
