namespace Caisson.Tidy.Tests.Mutants;

/// <summary>
/// A guard of the engine, the change that takes it away, and the tests of which one must notice. A file of
/// <c>tests/mutants</c>: lines of <c>guard:</c>, <c>file:</c> and <c>tests: PROJECT CLASS</c>, then what stands in the
/// source between <c>&lt;&lt;&lt;&lt;</c> and <c>====</c>, and what stands there without the guard, up to <c>&gt;&gt;&gt;&gt;</c>.
/// </summary>
internal sealed record Mutant(string Name, string Guard, string File, IReadOnlyList<(string Project, string Class)> Tests, string With, string Without)
{
    internal const string Folder = "tests/mutants";

    internal static IReadOnlyList<Mutant> All { get; } = [.. Repo.Under(Folder, ".txt").Select(Read)];

    /// <summary>How often what it replaces stands in the source; once is right.</summary>
    internal int Matches(string source) => source.Split(With).Length - 1;

    internal string Apply(string source) => source.Replace(With, Without, StringComparison.Ordinal);

    private static Mutant Read(string path)
    {
        var text = Repo.Text(path);
        var parts = text.Split("<<<<\n", 2);
        var lines = parts[0].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(": ", 2)).ToList();
        var change = parts[1].Split("====\n", 2);
        return new Mutant(
            Path.GetFileNameWithoutExtension(path),
            One("guard"),
            One("file"),
            [.. lines.Where(l => l[0] == "tests").Select(l => l[1].Split(' ')).Select(words => (words[0], words[1]))],
            change[0].TrimEnd('\n'),
            change[1].Split(">>>>\n")[0].TrimEnd('\n'));

        string One(string name) => lines.Single(l => l[0] == name)[1];
    }
}
