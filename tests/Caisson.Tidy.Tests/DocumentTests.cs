using System.Text.RegularExpressions;

namespace Caisson.Tidy.Tests;

public sealed partial class DocumentTests
{
    private const int ArchitectureLines = 110;
    private const int ArchitectureWords = 1_100;

    private static readonly string[] DecisionParts = ["Context", "Options", "Choice", "Price"];

    [Fact]
    public void Architecture_takes_two_pages_at_most()
    {
        var lines = Repo.Lines("ARCHITECTURE.md");
        var words = lines.Sum(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length);

        Assert.True(
            lines.Length <= ArchitectureLines && words <= ArchitectureWords,
            $"ARCHITECTURE.md:{ArchitectureLines}: {lines.Length} lines and {words} words; at most {ArchitectureLines} and {ArchitectureWords}");
    }

    [Fact]
    public void Paths_named_in_the_architecture_exist() =>
        Repo.Expect(
            "no such file or folder:",
            from line in Repo.Lines("ARCHITECTURE.md").Index()
            from Match match in Backticked().Matches(line.Item)
            let path = match.Groups[1].Value.TrimEnd('/')
            where LooksLikePath(match.Groups[1].Value) && !IsThere(path)
            select $"ARCHITECTURE.md:{line.Index + 1}: {path}");

    [Fact]
    public void Every_error_code_has_a_page_and_every_page_a_code()
    {
        const string source = "src/Caisson.Contracts/ErrorCodes.cs";
        var codes = (from line in Repo.Lines(source).Index()
                     let match = ErrorCode().Match(line.Item)
                     where match.Success
                     select (Code: match.Groups[1].Value, Line: line.Index + 1)).ToList();
        var pages = Repo.Under("docs/errors", ".md").Select(Path.GetFileNameWithoutExtension).Where(name => name != "README").ToHashSet();
        var index = Repo.Text("docs/errors/README.md");

        Assert.NotEmpty(codes);
        Repo.Expect("error codes, pages and index differ:", [
            .. codes.Where(code => !pages.Contains(code.Code)).Select(code => $"{source}:{code.Line}: {code.Code} has no page docs/errors/{code.Code}.md"),
            .. pages.Where(page => codes.All(code => code.Code != page)).Select(page => $"docs/errors/{page}.md:1: there is no such code"),
            .. pages.Where(page => Repo.Lines($"docs/errors/{page}.md").FirstOrDefault() != $"# {page}").Select(page => $"docs/errors/{page}.md:1: the title is not the code"),
            .. pages.Where(page => !index.Contains($"({page}.md)", StringComparison.Ordinal)).Select(page => $"docs/errors/README.md:1: does not list {page}"),
        ]);
    }

    [Fact]
    public void Relative_links_resolve() =>
        Repo.Expect(
            "the target does not exist:",
            from file in Repo.Under("", ".md")
            from link in Links(file)
            where !Resolves(file, link.Target)
            select $"{file}:{link.Line}: {link.Target}");

    [Fact]
    public void The_glossary_begins_with_an_alphabetical_table_of_terms()
    {
        var table = Repo.Lines("docs/GLOSSARY.md").Index().SkipWhile(line => !line.Item.StartsWith("| Term ", StringComparison.Ordinal))
            .TakeWhile(line => line.Item.StartsWith('|'));

        var terms = (from line in table
                     let match = TableRow().Match(line.Item)
                     where match.Success && match.Groups[1].Value != "Term" && match.Groups[1].Value.Any(char.IsLetter)
                     select (Term: match.Groups[1].Value.Replace("`", "", StringComparison.Ordinal), Line: line.Index + 1)).ToList();

        Assert.NotEmpty(terms);
        Repo.Expect(
            "not in alphabetical order, or twice:",
            terms.Zip(terms.Skip(1))
                .Where(pair => StringComparer.OrdinalIgnoreCase.Compare(pair.First.Term, pair.Second.Term) >= 0)
                .Select(pair => $"docs/GLOSSARY.md:{pair.Second.Line}: {pair.Second.Term} after {pair.First.Term}"));
    }

    [Fact]
    public void Decisions_are_named_by_date_and_topic_and_fit_one_screen() =>
        Repo.Expect(
            "a decision is docs/decisions/YYYY-MM-DD-topic.md with context, options, choice and price, in at most 60 lines:",
            from file in Repo.Under("docs/decisions", ".md")
            where Path.GetFileName(file) != "README.md"
            let text = Repo.Text(file)
            let missing = DecisionParts.Where(part => !text.Contains($"\n## {part}\n", StringComparison.Ordinal)).ToList()
            where !DecisionName().IsMatch(Path.GetFileName(file)) || missing.Count > 0 || Repo.Lines(file).Length > 60
            select $"{file}:1: {(missing.Count > 0 ? $"no section {string.Join(", ", missing)}" : "name or length")}");

    private static bool LooksLikePath(string token) =>
        !token.StartsWith('/') && !token.Contains("://", StringComparison.Ordinal) && token.IndexOfAny([' ', '*', '{', '<', '|', '(']) < 0
        && (token.Contains('/', StringComparison.Ordinal) || token.EndsWith(".cs", StringComparison.Ordinal) || token.EndsWith(".csproj", StringComparison.Ordinal));

    private static bool IsThere(string path) =>
        Repo.Exists(path) || (!path.Contains('/', StringComparison.Ordinal) && Repo.Files.Any(file => Path.GetFileName(file) == path));

    private static IEnumerable<(string Target, int Line)> Links(string file)
    {
        var fenced = false;
        foreach (var (index, line) in Repo.Lines(file).Index())
        {
            if (line.TrimStart().StartsWith("```", StringComparison.Ordinal))
                fenced = !fenced;
            if (fenced)
                continue;
            foreach (Match match in Link().Matches(InlineCode().Replace(line, "")))
            {
                var target = match.Groups[1].Value;
                if (!target.Contains("://", StringComparison.Ordinal) && !target.StartsWith("mailto:", StringComparison.Ordinal))
                    yield return (target, index + 1);
            }
        }
    }

    private static bool Resolves(string file, string target)
    {
        var parts = target.Split('#', 2);
        var full = parts[0].Length == 0 ? Repo.FullPath(file) : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Repo.FullPath(file))!, Uri.UnescapeDataString(parts[0])));
        if (!full.StartsWith(Repo.Root, StringComparison.Ordinal) || !(File.Exists(full) || Directory.Exists(full)))
            return false;
        return parts.Length == 1 || !full.EndsWith(".md", StringComparison.Ordinal)
            || File.ReadLines(full).Any(line => line.StartsWith('#') && Slug(line.TrimStart('#').Trim()) == parts[1]);
    }

    // As GitHub makes anchors of headings.
    private static string Slug(string heading) =>
        NotInSlug().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Backticked();

    [GeneratedRegex("`[^`]*`")]
    private static partial Regex InlineCode();

    [GeneratedRegex(@"\]\(([^)\s]+)(?:\s+""[^""]*"")?\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInSlug();

    [GeneratedRegex(@"^\s*public const string \w+ = ""(\w+)"";")]
    private static partial Regex ErrorCode();

    [GeneratedRegex(@"^\|\s*([^|]+?)\s*\|")]
    private static partial Regex TableRow();

    [GeneratedRegex(@"^\d{4}-\d\d-\d\d-[a-z0-9-]+\.md$")]
    private static partial Regex DecisionName();
}
