using System.Text.RegularExpressions;
using Caisson.MockModel.Scripts;

namespace Caisson.Gateway.Tests.Mock;

public sealed class DocumentTests
{
    [Fact]
    public void Every_script_in_the_page_can_be_played()
    {
        var page = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "mock-model.md"));
        var scripts = Regex.Matches(page, "```yaml\n(.*?)```", RegexOptions.Singleline).Select(m => m.Groups[1].Value).ToArray();

        Assert.True(scripts.Length >= 6);
        Assert.All(scripts, script => Assert.IsType<MockScriptOutcome.Parsed>(MockScript.Parse(script, "docs/mock-model.md")));
    }

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Caisson.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("no Caisson.slnx above the tests");
        return folder;
    }
}
