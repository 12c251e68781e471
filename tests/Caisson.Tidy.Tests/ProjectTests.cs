using System.Xml.Linq;

namespace Caisson.Tidy.Tests;

public sealed class ProjectTests
{
    // Contracts <- Core <- adapters <- Server <- Cli, and Contracts <- Client <- Cli. Adapters do not know each other.
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Caisson.Analyzers"] = [],
        ["Caisson.Contracts"] = [],
        ["Caisson.Core"] = ["Caisson.Contracts"],
        ["Caisson.Storage.Sqlite"] = ["Caisson.Core"],
        ["Caisson.Sandboxes"] = ["Caisson.Core"],
        ["Caisson.Gateway"] = ["Caisson.Core"],
        ["Caisson.Server"] = ["Caisson.Core", "Caisson.Storage.Sqlite", "Caisson.Sandboxes", "Caisson.Gateway"],
        ["Caisson.Client"] = ["Caisson.Contracts"],
        ["Caisson.MockModel"] = [],
        ["Caisson.Cli"] = ["Caisson.Server", "Caisson.Client", "Caisson.MockModel"],
    };

    [Fact]
    public void Projects_in_src_reference_only_what_the_house_allows() =>
        Repo.Expect(
            "references point one way (ARCHITECTURE.md); a new project or arrow is a decision and goes into ProjectTests.Allowed too:",
            from project in Repo.Under("src", ".csproj")
            let name = Path.GetFileNameWithoutExtension(project)
            from target in Allowed.ContainsKey(name) ? References(project) : [("(no rule for this project)", 1)]
            where !Allowed.GetValueOrDefault(name, []).Contains(target.Name)
            select $"{project}:{target.Line}: {name} -> {target.Name}");

    [Fact]
    public void Nothing_in_src_references_tests_or_samples_or_benchmarks() =>
        Repo.Expect(
            "a product project references product projects only:",
            from project in Repo.Under("src", ".csproj")
            from include in Includes(project, "ProjectReference")
            where !include.Value.StartsWith("../Caisson.", StringComparison.Ordinal)
            select $"{project}:{include.Line}: {include.Value}");

    [Fact]
    public void The_mock_model_is_referenced_by_the_command_and_by_tests_only() =>
        Repo.Expect(
            "nothing in the engine knows that the mock model exists:",
            from project in Repo.Under("", ".csproj")
            where !project.StartsWith("tests/", StringComparison.Ordinal) && project != "src/Caisson.Cli/Caisson.Cli.csproj"
            from target in References(project)
            where target.Name == "Caisson.MockModel"
            select $"{project}:{target.Line}");

    [Fact]
    public void Every_project_of_src_and_tests_is_in_the_solution()
    {
        var solution = Repo.Text("Caisson.slnx");

        Repo.Expect(
            "missing in Caisson.slnx:",
            Repo.Under("src", ".csproj").Concat(Repo.Under("tests", ".csproj")).Where(project => !solution.Contains($"\"{project}\"", StringComparison.Ordinal)));
    }

    [Fact]
    public void Every_project_has_a_lock_file() =>
        Repo.Expect(
            "no packages.lock.json beside it; run dotnet restore and commit it:",
            Repo.Under("src", ".csproj").Concat(Repo.Under("tests", ".csproj"))
                .Where(project => !Repo.Exists($"{Path.GetDirectoryName(project)}/packages.lock.json")));

    [Fact]
    public void Package_versions_stand_in_one_file_only() =>
        Repo.Expect(
            "the version belongs into Directory.Packages.props:",
            from project in Repo.Under("", ".csproj", ".props", ".targets")
            where project != "Directory.Packages.props"
            from element in Elements(project)
            where element.Name.LocalName is "PackageVersion" or "PackageReference"
            where element.Name.LocalName == "PackageVersion" || element.Attribute("Version") is not null || element.Attribute("VersionOverride") is not null
            select $"{project}:{Line(element)}: {element.Attribute("Include")?.Value}");

    [Fact]
    public void Package_versions_are_in_alphabetical_order()
    {
        var packages = Includes("Directory.Packages.props", "PackageVersion").ToList();

        Repo.Expect(
            "not in alphabetical order, or twice:",
            packages.Zip(packages.Skip(1))
                .Where(pair => StringComparer.OrdinalIgnoreCase.Compare(pair.First.Value, pair.Second.Value) >= 0)
                .Select(pair => $"Directory.Packages.props:{pair.Second.Line}: {pair.Second.Value} after {pair.First.Value}"));
    }

    [Fact]
    public void Every_package_version_is_used()
    {
        var used = Repo.Under("", ".csproj", ".props").SelectMany(file => Includes(file, "PackageReference")).Select(include => include.Value).ToHashSet();

        Repo.Expect(
            "no project uses it:",
            Includes("Directory.Packages.props", "PackageVersion")
                .Where(package => !used.Contains(package.Value))
                .Select(package => $"Directory.Packages.props:{package.Line}: {package.Value}"));
    }

    private static IEnumerable<(string Name, int Line)> References(string project) =>
        Includes(project, "ProjectReference").Select(include => (Path.GetFileNameWithoutExtension(include.Value), include.Line));

    private static IEnumerable<(string Value, int Line)> Includes(string file, string element) =>
        Elements(file).Where(candidate => candidate.Name.LocalName == element && candidate.Attribute("Include") is not null)
            .Select(found => (found.Attribute("Include")!.Value.Replace('\\', '/'), Line(found)));

    private static IEnumerable<XElement> Elements(string file) =>
        XDocument.Load(Repo.FullPath(file), LoadOptions.SetLineInfo).Descendants();

    private static int Line(XElement element) => ((System.Xml.IXmlLineInfo)element).LineNumber;
}
