namespace Caisson.Analyzers.Tests;

public sealed class RulesTests
{
    [Fact]
    public void Every_rule_has_its_section_in_the_page_that_it_links_to()
    {
        var page = File.ReadAllLines(Path.Combine(Root(), "docs", "analyzers.md"));

        var sections = page.Where(line => line.StartsWith("## CAI", StringComparison.Ordinal)).Select(line => line[3..]);

        Assert.Equal(Rules.All.Select(rule => rule.Id), sections);
        Assert.All(Rules.All, rule => Assert.Equal($"docs/analyzers.md#{rule.Id.ToLowerInvariant()}", rule.HelpLinkUri));
    }

    private static string Root()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Caisson.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("no folder above holds Caisson.slnx");
        return folder;
    }
}
