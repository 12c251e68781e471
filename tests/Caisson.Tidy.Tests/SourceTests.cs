using System.Text.RegularExpressions;

namespace Caisson.Tidy.Tests;

public sealed partial class SourceTests
{
    private const int LongestFile = 400;

    [Fact]
    public void Source_files_tell_one_story() =>
        Repo.Expect(
            $"longer than {LongestFile} lines; split it by what it tells:",
            from file in Repo.Under("src", ".cs", ".c", ".h")
            let lines = Repo.Lines(file).Length
            where lines > LongestFile
            select $"{file}:{LongestFile + 1}: {lines} lines");

    [Fact]
    public void Nothing_is_left_for_later() =>
        Repo.Expect("finish it or leave it out:", Matches(UnfinishedWork(), Code()));

    [Fact]
    public void No_test_is_switched_off() =>
        Repo.Expect("mend the test or delete it:", Matches(SwitchedOffTest(), Repo.Under("tests", ".cs")));

    [Fact]
    public void Nothing_sleeps() =>
        Repo.Expect("wait on a signal or on the TimeProvider:", Matches(Sleep(), Repo.Under("", ".cs")));

    [Fact]
    public void No_file_is_folded_into_regions() =>
        Repo.Expect("split the file instead:", Matches(Region(), Repo.Under("", ".cs")));

    [Fact]
    public void No_file_names_a_place_on_somebodys_machine() =>
        Repo.Expect(
            "the repository stands alone; name paths relative to it:",
            Matches(ForeignPath(), Text()).Concat(Matches(HomeOfRoot(), Text().Where(file => !NamesForbiddenPlaces(file)))));

    [Fact]
    public void Text_files_end_with_one_newline_and_have_no_trailing_blanks() =>
        Repo.Expect(
            "tidy the line ends:",
            Matches(TrailingBlank(), Text().Where(file => Path.GetExtension(file) != ".md" && !file.StartsWith("tests/golden/", StringComparison.Ordinal)))
                .Concat(Text().Where(file => Repo.Text(file) is { Length: > 0 } text && !text.EndsWith('\n')).Select(file => $"{file}: no newline at the end")));

    [Fact]
    public void Scripts_are_executable() =>
        Repo.Expect(
            "chmod +x:",
            Repo.Under("scripts").Append(".ci/run").Where(file =>
                !OperatingSystem.IsWindows() && !File.GetUnixFileMode(Repo.FullPath(file)).HasFlag(UnixFileMode.UserExecute)));

    private static IEnumerable<string> Matches(Regex pattern, IEnumerable<string> files) =>
        from file in files
        from line in Repo.Lines(file).Index()
        where pattern.IsMatch(line.Item)
        select $"{file}:{line.Index + 1}: {line.Item.Trim()}";

    private static IEnumerable<string> Code() =>
        Repo.Under("", ".cs", ".c", ".h", ".sh", ".csproj", ".props", ".yaml", ".yml").Concat(Repo.Under("scripts")).Append("Makefile");

    private static IEnumerable<string> Text() =>
        Code().Concat(Repo.Under("", ".md", ".json", ".toml", ".txt", ".slnx", ".ts", ".js", ".py")).Append(".ci/run").Distinct()
            .Where(file => !file.EndsWith("packages.lock.json", StringComparison.Ordinal));

    // What a box must not reach has to be named by the tests that try, and by the attack of the demo.
    private static bool NamesForbiddenPlaces(string file) =>
        file.StartsWith("tests/Caisson.Sandboxes.Tests/", StringComparison.Ordinal)
        || file.StartsWith("tests/Caisson.System.Tests/", StringComparison.Ordinal)
        || file.StartsWith("samples/", StringComparison.Ordinal);

    // A bracket in each pattern keeps it from finding itself.
    [GeneratedRegex(@"\b(TO[D]O|FIX[M]E|HA[C]K|NotImplemented[E]xception)\b")]
    private static partial Regex UnfinishedWork();

    [GeneratedRegex(@"\bSki[p]\s*=\s*""")]
    private static partial Regex SwitchedOffTest();

    [GeneratedRegex(@"\bThread\.Slee[p]\b")]
    private static partial Regex Sleep();

    [GeneratedRegex(@"^\s*#regio[n]\b")]
    private static partial Regex Region();

    [GeneratedRegex(@"(?<![\w.$}-])/wor[k]/|\.\./share[d]\b")]
    private static partial Regex ForeignPath();

    [GeneratedRegex(@"(?<![\w.$}-])/roo[t]/")]
    private static partial Regex HomeOfRoot();

    [GeneratedRegex(@"[ \t]+$")]
    private static partial Regex TrailingBlank();
}
